package pci

import "fmt"

// String is bus:device.function, as lspci writes it.
func (r RID) String() string {
	return fmt.Sprintf("%02x:%02x.%d", r.Bus(), r.Device(), r.Function())
}
