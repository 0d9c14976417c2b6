package main

import (
	"math/bits"

	"nom.dev/nom/abi"
	"nom.dev/nom/api"
	"nom.dev/nom/lib/container"
)

// books is what root holds and has not given away. When all programs have ended it must be what it was before the first.
type books struct {
	pages    int64
	slots    int
	devices  int
	children int
}

// readBooks counts what root holds.
func readBooks() (books, error) {
	st, err := container.OwnStatus()
	if err != nil {
		return books{}, err
	}
	own, err := container.Own()
	if err != nil {
		return books{}, err
	}
	devices, err := container.OwnDevices()
	if err != nil {
		return books{}, err
	}
	return balance(st, own, len(devices)), nil
}

func balance(st abi.Status, own container.Grant, devices int) books {
	b := books{pages: int64(st.Pages) - int64(st.Given), devices: devices, children: int(st.Children)}
	for _, slots := range own.Slots {
		b.slots += bits.OnesCount32(slots)
	}
	return b
}

// lost is what did not come back between two looks at the books.
func (b books) lost(after books) api.Lost {
	return api.Lost{Pages: b.pages - after.pages, Slots: b.slots - after.slots, Devices: b.devices - after.devices, Containers: after.children - b.children}
}
