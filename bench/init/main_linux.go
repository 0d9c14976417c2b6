// Init is the first program of the Linux guest that package bench compares with: it loads the network card's driver, gives the
// card an address, and becomes the server that its arguments name. Nothing else runs beside it.
package main

import (
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func main() {
	err := run(os.Args[1:])
	fmt.Fprintln(os.Stderr, "init:", err)
	// The kernel panics when its first program ends, and the machine with it.
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("no program to run")
	}
	if err := unix.Mount("dev", "/dev", "devtmpfs", 0, ""); err != nil {
		return fmt.Errorf("mounting /dev: %w", err)
	}
	for _, m := range []string{"dca", "i2c-algo-bit", "igb"} {
		if err := load("/" + m + ".ko.xz"); err != nil {
			return err
		}
	}
	if err := configure("lo", "127.0.0.1", "255.0.0.0"); err != nil {
		return err
	}
	card := "eth0"
	if os.Getenv("vf") != "" { // a word of the kernel's command line
		if err := function(card); err != nil {
			return fmt.Errorf("virtual function: %w", err)
		}
		card = "eth1"
	}
	if err := configure(card, "10.0.2.15", "255.255.255.0"); err != nil {
		return err
	}
	return syscall.Exec("/"+args[0], args, nil)
}

func load(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", unix.MODULE_INIT_COMPRESSED_FILE); err != nil {
		return fmt.Errorf("loading %s: %w", file, err)
	}
	return nil
}

// configure switches an interface on, and gives it an address if there is one, as ifconfig does: netdevice(7).
func configure(name, address, mask string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	for _, set := range []struct {
		request uint
		value   string
	}{{unix.SIOCSIFADDR, address}, {unix.SIOCSIFNETMASK, mask}} {
		if address == "" {
			break
		}
		if err := r.SetInet4Addr(net.ParseIP(set.value).To4()); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, set.request, r); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	r.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r); err != nil {
		return fmt.Errorf("switching %s on: %w", name, err)
	}
	return nil
}
