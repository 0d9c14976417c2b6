package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// waits calls that wait for so long only, and those that wait for several descriptors, as programs do that are not only of Go's library.
func waits() {
	timeouts()
	polls()
	selects()
	interrupted()
}

// took says whether a call took its time: 50 ms at least.
func took(call func() error) string {
	begin := time.Now()
	err := call()
	return fmt.Sprintf("%v, waited %v", err, time.Since(begin) >= 50*time.Millisecond)
}

var short = unix.Timeval{Usec: 50_000}

func timeouts() {
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(err)
	must(unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(unix.Listen(listener, 1))
	must(unix.SetsockoptTimeval(listener, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &short))
	fmt.Println("accept:", took(func() error {
		_, err := again(func() (int, error) { n, _, err := unix.Accept(listener); return n, err })
		return err
	}))
	name, err := unix.Getsockname(listener)
	must(err)
	c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(err)
	must(unix.SetsockoptTimeval(c, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &short))
	must(unix.Connect(c, name))
	s, _, err := unix.Accept(listener)
	must(err)
	b := make([]byte, 100)
	fmt.Println("read, with the listener's time:", took(func() error {
		_, err := again(func() (int, error) { return unix.Read(s, b) })
		return err
	}))
	full := func() error {
		for {
			if _, err := again(func() (int, error) { return unix.Write(c, make([]byte, 100_000)) }); err != nil {
				return err
			}
		}
	}
	fmt.Println("write:", took(full))
	must(unix.Close(c))
	must(unix.Close(s))
	must(unix.Close(listener))

	u, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	must(err)
	must(unix.Bind(u, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(unix.SetsockoptTimeval(u, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &short))
	fmt.Println("recvfrom:", took(func() error {
		_, err := again(func() (int, error) { n, _, err := unix.Recvfrom(u, b, 0); return n, err })
		return err
	}))
	name, err = unix.Getsockname(u)
	must(err)
	must(unix.SetsockoptTimeval(u, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 100}))
	time.AfterFunc(50*time.Millisecond, func() { must(unix.Sendto(u, []byte("late"), 0, name)) })
	n, err := again(func() (int, error) { n, _, err := unix.Recvfrom(u, b, 0); return n, err })
	fmt.Printf("recvfrom: %q, %v\n", b[:n], err)
	must(unix.Close(u))
}

// again makes a call until no signal interrupts it: Go's scheduler sends some (SIGURG).
func again(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != unix.EINTR {
			return n, err
		}
	}
}

func poll(fds []unix.PollFd, timeout int) (int, error) {
	return again(func() (int, error) { return unix.Poll(fds, timeout) })
}

func polls() {
	var p [2]int
	must(unix.Pipe(p[:]))
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(err)
	event, err := unix.Eventfd(0, 0)
	must(err)
	fds := []unix.PollFd{{Fd: int32(p[0]), Events: unix.POLLIN}, {Fd: int32(pair[0]), Events: unix.POLLIN | unix.POLLRDHUP}, {Fd: int32(event), Events: unix.POLLIN}, {Fd: -1}}
	what := func() (all []int16) {
		for _, f := range fds {
			all = append(all, f.Revents)
		}
		return all
	}
	fmt.Println("poll:", took(func() error { n, err := poll(fds, 50); fmt.Println(n, what()); return err }))
	for i, fd := range []int{p[1], pair[1], event} {
		time.AfterFunc(50*time.Millisecond, func() {
			_, err := unix.Write(fd, []byte("\x01\x00\x00\x00\x00\x00\x00\x00"))
			must(err)
		})
		n, err := poll(fds, -1)
		fmt.Println("poll:", n, err, what())
		_, err = unix.Read(int(fds[i].Fd), make([]byte, 100))
		must(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { must(unix.Close(pair[1])) })
	n, err := again(func() (int, error) { return unix.Ppoll(fds[1:2], nil, nil) })
	fmt.Println("ppoll:", n, err, what()[1])
	n, err = again(func() (int, error) { return unix.Ppoll(fds[1:2], &unix.Timespec{Sec: 100}, nil) })
	fmt.Println("ppoll:", n, err, what()[1])
	for _, fd := range []int{p[0], p[1], pair[0], event} {
		must(unix.Close(fd))
	}
	n, err = poll(fds[:1], -1)
	fmt.Println("poll of a closed one:", n, err, what()[0])
}

func selects() {
	u, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(err)
	defer u.Close()
	raw, err := u.SyscallConn()
	must(err)
	must(raw.Control(func(d uintptr) {
		var in, out unix.FdSet
		fd := int(d)
		in.Set(fd)
		left := short
		fmt.Println("select:", took(func() error {
			n, err := again(func() (int, error) { return unix.Select(fd+1, &in, nil, nil, &left) })
			fmt.Println(n, in.IsSet(fd), left)
			return err
		}))
		in.Set(fd)
		time.AfterFunc(50*time.Millisecond, func() {
			_, err := u.WriteTo([]byte("late"), u.LocalAddr())
			must(err)
		})
		left = unix.Timeval{Sec: 100}
		n, err := again(func() (int, error) { return unix.Select(fd+1, &in, &out, nil, &left) })
		fmt.Println("select:", n, err, in.IsSet(fd), left.Sec == 99 || left.Sec == 100)
		out.Set(fd)
		n, err = again(func() (int, error) { return unix.Pselect(fd+1, &in, &out, nil, &unix.Timespec{}, nil) })
		fmt.Println("pselect:", n, err, in.IsSet(fd), out.IsSet(fd))
	}))
}

// interrupted has a signal end calls that wait for so long only, and such that let it in while they wait.
func interrupted() {
	runtime.LockOSThread()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	self := unix.Gettid()
	signalled := func(what string, call func() error) {
		done := make(chan struct{})
		go func() { // until the call has ended: the first may come before it
			for {
				select {
				case <-done:
					return
				case <-time.After(50 * time.Millisecond):
					must(unix.Tgkill(unix.Getpid(), self, unix.SIGUSR1))
				}
			}
		}()
		err := call()
		close(done)
		fmt.Println(what, err, <-signals)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(err)
	must(unix.SetsockoptTimeval(pair[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 100}))
	signalled("read:", func() error { _, err := unix.Read(pair[0], make([]byte, 1)); return err })
	fds := []unix.PollFd{{Fd: int32(pair[0]), Events: unix.POLLIN}}
	signalled("poll:", func() error { _, err := unix.Poll(fds, 100_000); return err })
	var blocked, old, none, now unix.Sigset_t
	blocked.Val[0] = 1 << (unix.SIGUSR1 - 1)
	must(unix.PthreadSigmask(unix.SIG_BLOCK, &blocked, &old))
	signalled("ppoll that lets it in:", func() error { return ppoll(fds, &none) })
	must(unix.PthreadSigmask(unix.SIG_SETMASK, &old, &now))
	fmt.Println("blocked after it:", now.Val[0]&blocked.Val[0] != 0)
}
