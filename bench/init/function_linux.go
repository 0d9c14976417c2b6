package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// functionMAC is the Ethernet address of the virtual function.
var functionMAC = net.HardwareAddr{0x52, 0x54, 0, 0x12, 0x34, 0x57}

// function makes a virtual function of a card and has its driver take it. The card's driver answers that of the function only when the
// card is switched on and the function was given an Ethernet address; without one it refuses to reset it, which the other reports as
// "PF still in reset state".
func function(card string) error {
	if err := unix.Mount("sys", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mounting /sys: %w", err)
	}
	if err := configure(card, "", ""); err != nil {
		return err
	}
	if err := os.WriteFile("/sys/class/net/"+card+"/device/sriov_numvfs", []byte("1"), 0); err != nil {
		return err
	}
	if err := setFunctionMAC(card); err != nil {
		return fmt.Errorf("setting its Ethernet address: %w", err)
	}
	return load("/igbvf.ko.xz")
}

// setFunctionMAC does what "ip link set CARD vf 0 mac" does: rtnetlink(7).
func setFunctionMAC(card string) error {
	i, err := net.InterfaceByName(card)
	if err != nil {
		return err
	}
	const macSize = 4 + 32 // struct ifla_vf_mac: the function's number and room for an address
	mac := make([]byte, macSize)
	copy(mac[4:], functionMAC)
	body := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(body[4:], uint32(i.Index))
	body = append(body, attribute(unix.IFLA_VFINFO_LIST, attribute(unix.IFLA_VF_INFO, attribute(unix.IFLA_VF_MAC, mac)))...)
	request := make([]byte, unix.SizeofNlMsghdr)
	binary.NativeEndian.PutUint32(request, uint32(len(request)+len(body)))
	binary.NativeEndian.PutUint16(request[4:], unix.RTM_SETLINK)
	binary.NativeEndian.PutUint16(request[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, append(request, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	reply := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, reply, 0)
	if err != nil {
		return err
	}
	if n < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(reply[4:]) != unix.NLMSG_ERROR {
		return fmt.Errorf("the kernel answered %x", reply[:n])
	}
	if code := int32(binary.NativeEndian.Uint32(reply[unix.SizeofNlMsghdr:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// attribute is one of netlink: length, kind, value. Values here are multiples of four bytes, so nothing is padded.
func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofRtAttr+len(value)))
	return append(binary.NativeEndian.AppendUint16(b, kind), value...)
}
