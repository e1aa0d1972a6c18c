package halftone

// #include "bridge.h"
import "C"

import (
	"fmt"
	"runtime"
	"runtime/cgo"
	"sync"
	"unsafe"
)

// Context is where work is done. It may be closed before what was made from it.
type Context struct{ handle }

// LogLevel says how much a line of the log matters.
type LogLevel int32

// Levels of the log.
const (
	LogError   LogLevel = C.HT_LOG_ERROR   // a call failed
	LogWarning LogLevel = C.HT_LOG_WARNING // something a user should know: damping raised, a fallback
	LogInfo    LogLevel = C.HT_LOG_INFO    // layers and blocks done
)

// logger is the log of a context and of everything made from it.
type logger struct {
	mutex    sync.Mutex
	write    func(LogLevel, string)
	panicked any
}

func (l *logger) replace(write func(LogLevel, string)) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.write = write
}

func (l *logger) current() func(LogLevel, string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.write
}

// rethrow lets a panic of the log go on.
func (l *logger) rethrow() {
	l.mutex.Lock()
	panicked := l.panicked
	l.panicked = nil
	l.mutex.Unlock()
	if panicked != nil {
		panic(panicked)
	}
}

// shared is what everything made from a context keeps: the log, and the number by which C knows it.
type shared struct {
	*logger
	user cgo.Handle
}

func newShared() *shared {
	log := &logger{}
	made := &shared{logger: log, user: cgo.NewHandle(log)}
	runtime.SetFinalizer(made, func(s *shared) { s.user.Delete() })
	return made
}

// NewContext is a context of so many threads; 0 takes what the machine offers this process. Results are the same bytes
// for any number.
func NewContext(threads int) (*Context, error) {
	if err := checkVersion(); err != nil {
		return nil, err
	}
	if threads != int(int32(threads)) {
		return nil, invalid(fmt.Sprint(threads, " threads"))
	}
	var raw *C.ht_context
	err := onThread(func() C.ht_status { return C.ht_context_create(C.int32_t(threads), &raw) })
	if err != nil {
		return nil, err
	}
	context := &Context{handle{pointer: unsafe.Pointer(raw), shared: newShared()}}
	runtime.SetFinalizer(context, func(c *Context) { c.Close() })
	return context, nil
}

// Close frees the context.
func (c *Context) Close() error {
	C.ht_context_destroy((*C.ht_context)(c.take()))
	return nil
}

// SetDevice says where quantizers that are made and jobs that are run from then on compute: "cpu", "cuda" or "cuda:N".
// It fails, saying why, where this library or machine has no such device.
func (c *Context) SetDevice(device string) error { return c.set("device", device) }

// SetDeviceMemory limits what a quantizer or a job takes of the device's memory, in bytes; 0: what is free.
func (c *Context) SetDeviceMemory(bytes uint64) error {
	return c.set("device_memory", fmt.Sprint(bytes))
}

func (c *Context) set(name, value string) error {
	var memory arena
	defer memory.free()
	first, second, err := memory.texts(name, value)
	if err != nil {
		return err
	}
	return c.call(func(raw unsafe.Pointer) C.ht_status {
		return C.ht_context_set((*C.ht_context)(raw), first, second)
	})
}

// SetLog tells log what is worth telling about everything made from this context, on the goroutine of the call that it
// is about; nil: no more. The default is silence. Goroutines that share the context share its log.
func (c *Context) SetLog(log func(level LogLevel, text string)) error {
	c.shared.replace(log)
	return c.call(func(raw unsafe.Pointer) C.ht_status {
		return C.ht_go_context_set_log((*C.ht_context)(raw), C.uintptr_t(c.shared.user))
	})
}

// onThread is a call without a handle, whose message is the thread's.
func onThread(call func() C.ht_status) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return failure(call(), nil)
}

// checkVersion: the library that is running must be of the same major version, and not older than the header.
func checkVersion() error {
	running, wanted := uint32(C.ht_abi_version()), uint32(C.HT_ABI_MAJOR<<16|C.HT_ABI_MINOR)
	if running>>16 == wanted>>16 && running >= wanted {
		return nil
	}
	message := fmt.Sprintf("libhalftone_c has interface %d.%d, wanted %d.%d or newer", running>>16, running&0xffff,
		wanted>>16, wanted&0xffff)
	return &Error{Status: Unsupported, Message: message}
}
