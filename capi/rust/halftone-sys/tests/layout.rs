//! The bindings against what they are bindings of: tests/capi/abi_layout.inc, which a C compiler checks against the
//! header, the header's constants, and the checked list of symbols.

use halftone_sys::*;
use std::collections::{BTreeMap, BTreeSet};
use std::mem::{size_of, MaybeUninit};
use std::path::Path;
use std::ptr::addr_of;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {}", path.display(), error))
}

/// (struct, member, offset) of every member.
fn offsets() -> BTreeSet<(String, String, usize)> {
    let mut all = BTreeSet::new();
    macro_rules! members {
        ($($name:ident { $($member:ident)+ })+) => {$($({
            let value = MaybeUninit::<$name>::uninit();
            let base = value.as_ptr();
            // SAFETY: only the address is taken.
            let offset = unsafe { addr_of!((*base).$member) } as usize - base as usize;
            let member = stringify!($member).trim_end_matches('_');
            all.insert((stringify!($name).to_string(), member.to_string(), offset));
        })+)+};
    }
    members! {
        ht_matrix { struct_size dtype rows cols stride data device_kind device_id }
        ht_tensor { struct_size dtype name shape rank flags data bytes }
        ht_method { struct_size option_count name help paper }
        ht_option { struct_size type_ name default_value help minimum maximum choices choice_count flags }
        ht_format { struct_size flags name help }
        ht_feature { struct_size flags name value }
        ht_source { struct_size flags config tensors tensor_count read user }
        ht_progress { struct_size phase blocks_done blocks matrices_done matrices seconds seconds_left module
                      relative_error tuned_first tuned_last step steps loss }
    }
    all
}

#[test]
fn offsets_are_those_of_c() {
    let layout = read("tests/capi/abi_layout.inc");
    let ours = offsets();
    let mut compared = 0;
    for line in layout.lines().filter_map(|line| line.strip_prefix("HT_AT(")) {
        let fields: Vec<&str> = line.trim_end_matches(");").split(", ").collect();
        let row = (fields[0].to_string(), fields[1].to_string(), fields[2].parse().expect("an offset"));
        assert!(ours.contains(&row), "{:?} is not ours", row);
        compared += 1;
    }
    // abi_layout.inc leaves out struct_size, which is 0, of some.
    let without_size = ours.iter().filter(|row| row.1 != "struct_size").count();
    assert!(compared >= without_size, "{} members compared, of {}", compared, without_size);
}

#[test]
fn sizes_are_those_of_c() {
    let sizes: BTreeMap<&str, usize> = [
        ("ht_matrix", size_of::<ht_matrix>()),
        ("ht_tensor", size_of::<ht_tensor>()),
        ("ht_method", size_of::<ht_method>()),
        ("ht_option", size_of::<ht_option>()),
        ("ht_format", size_of::<ht_format>()),
        ("ht_feature", size_of::<ht_feature>()),
        ("ht_source", size_of::<ht_source>()),
        ("ht_progress", size_of::<ht_progress>()),
    ]
    .into_iter()
    .collect();
    let layout = read("tests/capi/abi_layout.inc");
    let mut compared = 0;
    for line in layout.lines() {
        // HT_ASSERT(sizeof(ht_matrix) >= 48);
        let parts: Vec<&str> = line.split(&['(', ')', ' ', ';'][..]).filter(|part| !part.is_empty()).collect();
        if let ["HT_ASSERT", "sizeof", name, ">=", size] = parts[..] {
            assert_eq!(sizes.get(name), Some(&size.parse().expect("a size")), "{}", name);
            compared += 1;
        }
    }
    assert_eq!(compared, sizes.len());
}

#[test]
fn sized_structs_say_their_size() {
    assert_eq!(sized::<ht_progress>().struct_size as usize, size_of::<ht_progress>());
    assert!(sized::<ht_matrix>().data.is_null());
}

/// NAME = NUMBER of every constant in `text`.
fn constants(text: &str) -> BTreeMap<String, i64> {
    let mut all = BTreeMap::new();
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || ",;{}".contains(c)).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    for (i, word) in words.iter().enumerate() {
        if !word.starts_with("HT_") {
            continue;
        }
        // HT_X = 1, const HT_X: i32 = 1, #define HT_X 1
        let at = words[i + 1..].iter().take(3).find_map(|next| next.parse().ok());
        let assigned = word.ends_with(':') || words.get(i + 1) == Some(&"=") || (i > 0 && words[i - 1] == "#define");
        if let (Some(number), true) = (at, assigned) {
            all.insert(word.trim_end_matches(':').to_string(), number);
        }
    }
    all
}

#[test]
fn constants_are_those_of_the_header() {
    let header = constants(&read("capi/include/halftone.h"));
    assert!(header.len() > 45);
    assert_eq!(header, constants(include_str!("../src/constants.rs")));
}

#[test]
fn every_symbol_is_bound() {
    let listed: BTreeSet<String> = read("capi/symbols.txt").lines().map(str::to_string).collect();
    let bound = include_str!("../src/functions.rs").lines().filter_map(|line| line.trim().strip_prefix("pub fn "));
    let bound: BTreeSet<String> = bound.map(|line| line.split('(').next().unwrap_or("").to_string()).collect();
    assert_eq!(listed, bound);
}

#[test]
fn the_library_is_of_this_version() {
    // SAFETY: no arguments.
    assert_eq!(unsafe { ht_abi_version() } >> 16, HT_ABI_MAJOR);
}
