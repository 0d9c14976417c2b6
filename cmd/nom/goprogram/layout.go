package goprogram

import (
	"debug/dwarf"
	"errors"
	"fmt"
	"strings"
)

// layout is where the fields of a runtime.g lie that matter here.
type layout struct {
	stackLo, stackHi                int
	schedSP, schedPC, schedBP       int
	syscallSP, syscallPC, syscallBP int
	status, goid, waitReason        int
	parent, goPC, startPC           int
	lockedM                         int
	size                            int
}

// layout126 is that of Go 1.26, for programs without debug information. A test compares it with that of a program that has.
var layout126 = layout{
	stackLo: 0, stackHi: 8, schedSP: 56, schedPC: 64, schedBP: 96, syscallSP: 104, syscallPC: 112, syscallBP: 120,
	status: 144, goid: 152, waitReason: 176, lockedM: 208, parent: 280, goPC: 288, startPC: 304, size: 456,
}

// loadLayout finds out how a runtime.g is laid out.
func (p *Program) loadLayout() error {
	if l, err := p.dwarfLayout(); err == nil {
		p.layout = l
		return nil
	}
	if p.Version != "go1.26" && !strings.HasPrefix(p.Version, "go1.26.") {
		return fmt.Errorf("the program is made by %s and has no debug information: build it without -ldflags=-w, or by Go 1.26", p.Version)
	}
	p.layout = layout126
	return nil
}

// dwarfLayout reads it from the debug information.
func (p *Program) dwarfLayout() (l layout, err error) {
	d, err := p.file.DWARF()
	if err != nil {
		return l, err
	}
	g, err := structType(d, "runtime.g")
	if err != nil {
		return l, err
	}
	for path, to := range map[string]*int{
		"stack.lo": &l.stackLo, "stack.hi": &l.stackHi, "sched.sp": &l.schedSP, "sched.pc": &l.schedPC, "sched.bp": &l.schedBP,
		"syscallsp": &l.syscallSP, "syscallpc": &l.syscallPC, "syscallbp": &l.syscallBP, "atomicstatus": &l.status, "goid": &l.goid,
		"waitreason": &l.waitReason, "parentGoid": &l.parent, "gopc": &l.goPC, "startpc": &l.startPC, "lockedm": &l.lockedM,
	} {
		if *to, err = fieldOffset(g, path); err != nil {
			return l, err
		}
	}
	l.size = int(g.ByteSize)
	if l.size > 4096 {
		return l, errors.New("runtime.g is too large to be true")
	}
	return l, nil
}

// structType finds a structure of package runtime.
func structType(d *dwarf.Data, name string) (*dwarf.StructType, error) {
	for r := d.Reader(); ; {
		e, err := r.Next()
		if err != nil {
			return nil, err
		}
		if e == nil {
			return nil, fmt.Errorf("no type %s in the debug information", name)
		}
		if e.Tag == dwarf.TagStructType && e.Val(dwarf.AttrName) == name {
			t, err := d.Type(e.Offset)
			if err != nil {
				return nil, err
			}
			if s, ok := t.(*dwarf.StructType); ok {
				return s, nil
			}
		}
		if e.Tag != dwarf.TagCompileUnit {
			r.SkipChildren()
		}
	}
}

// fieldOffset is that of a field, or of one of its own fields.
func fieldOffset(s *dwarf.StructType, path string) (int, error) {
	name, rest, nested := strings.Cut(path, ".")
	for _, f := range s.Field {
		if f.Name != name {
			continue
		}
		if !nested {
			return int(f.ByteOffset), nil
		}
		t := f.Type
		if named, ok := t.(*dwarf.TypedefType); ok {
			t = named.Type
		}
		inner, ok := t.(*dwarf.StructType)
		if !ok {
			break
		}
		o, err := fieldOffset(inner, rest)
		return int(f.ByteOffset) + o, err
	}
	return 0, fmt.Errorf("no field %s in %s", path, s.StructName)
}
