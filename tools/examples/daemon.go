// SPDX-License-Identifier: MIT OR Apache-2.0

// How a daemon in Go marks itself: once, before it serves. Goroutines move between
// threads, and the runtime makes threads as it likes, so it has to be the process.
package main

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"unsafe"
)

const (
	iocMark = 0xC020D505 // MEMSCOPE_IOC_MARK of <linux/memscope.h>

	markHold    = 1 << 0
	markProcess = 1 << 1

	scopeNoIO          = 1 << 0
	scopeNoFS          = 1 << 1
	scopeLocalThrottle = 1 << 2
)

// struct memscope_mark
type mark struct {
	flags, scopes                     uint32
	pidfd                             int32
	timeoutMs                         uint32
	done, remaining, stopped, blocked uint32
}

// holdProcess marks every thread, those to come as well, until the file is closed.
// Programs that the daemon starts are not marked.
func holdProcess(scopes uint32) (*os.File, error) {
	device, err := os.OpenFile("/dev/memscope", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	m := mark{flags: markHold | markProcess, scopes: scopes, timeoutMs: 1000}
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, device.Fd(), iocMark,
		uintptr(unsafe.Pointer(&m)))
	if errno != 0 {
		device.Close()
		return nil, os.NewSyscallError("MEMSCOPE_IOC_MARK", errno)
	}
	return device, nil
}

func main() {
	hold, err := holdProcess(scopeNoIO | scopeLocalThrottle)
	if err != nil {
		fmt.Fprintln(os.Stderr, "memscope:", err)
		os.Exit(1)
	}
	defer hold.Close()

	// Stands for what serves requests.
	go func() { select {} }()
	fmt.Println("serving")
	// ... until there is nobody to serve.
	io.Copy(io.Discard, os.Stdin)
}
