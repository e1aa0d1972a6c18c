#!/usr/bin/env python3
"""Makes variants.json beside this file. Needs the package tokenizers; the tests do not need this script."""
import json
import os

from tokenizers import Tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}


def byte_level(prefix=False, regex=False):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def token(content, number, **flags):
    plain = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=False)
    return {"id": number, "content": content, **plain, **flags}


NFC = {"type": "NFC"}
TEXTS = ["", " ", "It's 12345 o'clock, IT'S LATE.\n\n  don't ſ'ſ  x", "cafe\u0301 caf\u00e9 \u212b A\u030a \u1e9b\u0323",
         "\u1100\u1161\u11a8 \uac01", "a\u180eb\u0085c\u00a0d\u3000e", "tab\t\ttab \r\n \r\nend  ", "e\u0301<e\u0301>e\u0301",
         "xxAByy <A> <AB> <ABC> <A", "one <L> two  <L>three<R>  four <R> <L> <R>", "word SW word SWs xSW SW, (SW) \u00e9SW",
         "<W> <W><W>", "\u00e9\u00e9 caf\u00e9s \u00e9", "HelloWorld helloWORLD'S ABC/def/", "\u0664\u0665 \u2160 \u00bd", " lead"]
ADDED = [token("<A>", 1024, special=True), token("<AB>", 1025), token("<ABC>", 1026), token("<L>", 1027, lstrip=True),
         token("<R>", 1028, rstrip=True), token("SW", 1029, single_word=True), token("AB", 1030, normalized=True),
         token("e\u0301", 1031, normalized=True), token("<W>", 1032, lstrip=True, rstrip=True, single_word=True)]
VARIANTS = [
    ("bpe_llama3", {"normalizer": NFC, "pre_tokenizer": sequence(split(QWEN), byte_level()), "post_processor": None}),
    ("bpe_llama3", {"normalizer": {"type": "Sequence", "normalizers": [NFC]}, "added_tokens": ADDED}),
    ("bpe_gpt2", {"added_tokens": ADDED}),
    ("bpe_gpt2", {"pre_tokenizer": byte_level(prefix=True, regex=True)}),
    ("bpe_gpt2", {"pre_tokenizer": sequence(split(r"\s+|\S+"), split(r"\p{N}"), byte_level(prefix=True))}),
    ("bpe_gpt2", {"pre_tokenizer": sequence(split(r"\p{L}+|\d", "Removed", True), byte_level())}),
    ("bpe_gpt2", {"pre_tokenizer": sequence(split(r"(?=\p{Lu})|x*"), byte_level())}),
    ("bpe_llama3", {"pre_tokenizer": sequence(split(GPT4O), byte_level())}),
]

result = []
for base, changes in VARIANTS:
    with open(os.path.join(HERE, base, "tokenizer.json"), encoding="utf-8") as file:
        document = {**json.load(file), **changes}
    tokenizer = Tokenizer.from_str(json.dumps(document))
    strings = [{"text": t, "ids": tokenizer.encode(t, add_special_tokens=False).ids} for t in TEXTS]
    result.append({"base": base, "changes": changes, "strings": strings})
with open(os.path.join(HERE, "variants.json"), "w", encoding="utf-8") as file:
    json.dump(result, file, indent=None, separators=(",", ":"))
    file.write("\n")
