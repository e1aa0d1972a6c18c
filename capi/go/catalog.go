package halftone

// #include "bridge.h"
import "C"

import (
	"errors"
	"unsafe"
)

// Method is a method.
type Method struct {
	Name  string // "gptq"
	Help  string // one line
	Paper string // "arXiv 2210.17323"
}

// OptionKind says what an option may be.
type OptionKind int32

// Kinds of options.
const (
	Flag    OptionKind = C.HT_FLAG    // true or false
	Integer OptionKind = C.HT_INTEGER // a whole number
	Real    OptionKind = C.HT_REAL    // a number, or one of Choices
	Choice  OptionKind = C.HT_CHOICE  // one of Choices
)

// MethodOption is an option of a method.
type MethodOption struct {
	Name             string
	Kind             OptionKind
	Default          string   // as text
	Help             string   // one line, with the paper's symbol where there is one
	Minimum, Maximum float64  // of Integer and Real, both included
	Choices          []string // of Real what it may be beside a number
}

// Format is a format of checkpoints.
type Format struct {
	Name string // "gptq_v2"
	Help string // one line: who loads it
}

// Feature is a property of this build on this machine.
type Feature struct{ Name, Value string }

// Version of the library that is running: "0.1.0".
func Version() string { return C.GoString(C.ht_version()) }

// Methods is all methods.
func Methods() ([]Method, error) {
	return rows(func(index C.uint32_t, row *C.ht_method) C.ht_status {
		row.struct_size = C.sizeof_ht_method
		return C.ht_method_get(index, row)
	}, func(row *C.ht_method) Method {
		return Method{C.GoString(row.name), C.GoString(row.help), C.GoString(row.paper)}
	})
}

// MethodOptions is the options of a method by name.
func MethodOptions(method string) ([]MethodOption, error) {
	var memory arena
	defer memory.free()
	name, err := memory.text(method)
	if err != nil {
		return nil, err
	}
	all, err := rows(func(index C.uint32_t, row *C.ht_option) C.ht_status {
		row.struct_size = C.sizeof_ht_option
		return C.ht_option_get(name, index, row)
	}, optionOf)
	if len(all) == 0 && err == nil { // no such method: every one has options
		var row C.ht_option
		row.struct_size = C.sizeof_ht_option
		err = onThread(func() C.ht_status { return C.ht_option_get(name, 0, &row) })
	}
	return all, err
}

func optionOf(row *C.ht_option) MethodOption {
	option := MethodOption{Name: C.GoString(row.name), Kind: OptionKind(row._type), Default: C.GoString(row.default_value),
		Help: C.GoString(row.help), Minimum: float64(row.minimum), Maximum: float64(row.maximum)}
	for _, choice := range unsafe.Slice(row.choices, int(row.choice_count)) {
		option.Choices = append(option.Choices, C.GoString(choice))
	}
	return option
}

// Formats is all formats.
func Formats() ([]Format, error) {
	return rows(func(index C.uint32_t, row *C.ht_format) C.ht_status {
		row.struct_size = C.sizeof_ht_format
		return C.ht_format_get(index, row)
	}, func(row *C.ht_format) Format { return Format{C.GoString(row.name), C.GoString(row.help)} })
}

// Features is what this build has on this machine.
func Features() ([]Feature, error) {
	return rows(func(index C.uint32_t, row *C.ht_feature) C.ht_status {
		row.struct_size = C.sizeof_ht_feature
		return C.ht_feature_get(index, row)
	}, func(row *C.ht_feature) Feature { return Feature{C.GoString(row.name), C.GoString(row.value)} })
}

// rows is every row of a list until NotFound.
func rows[R, T any](get func(C.uint32_t, *R) C.ht_status, make func(*R) T) ([]T, error) {
	var all []T
	for index := C.uint32_t(0); ; index++ {
		row := new(R)
		err := onThread(func() C.ht_status { return get(index, row) })
		if errors.Is(err, NotFound) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, make(row))
	}
}
