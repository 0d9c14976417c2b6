package main

import (
	"debug/elf"
	"debug/gosym"
	"fmt"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// symbols turns addresses into names of functions, for programs that lie at different addresses or at the same ones.
type symbols struct{ tables []symbolTable }

// symbolTable is what an ELF file says about its functions.
type symbolTable struct {
	name      string // of the container, or of the part of the system
	low, high uint64 // extent of the code
	functions []elf.Symbol
	lines     *gosym.Table // may be nil
}

// add reads the symbols of an ELF file. A file without any is left out: then addresses stay numbers.
func (s *symbols) add(name, file string) {
	f, err := elf.Open(file)
	if err != nil {
		return
	}
	defer f.Close()
	s.addELF(name, f)
}

func (s *symbols) addELF(name string, f *elf.File) {
	t := symbolTable{name: name}
	text := f.Section(".text")
	if text == nil {
		return
	}
	t.low, t.high = text.Addr, text.Addr+text.Size
	all, err := f.Symbols()
	if err != nil {
		return
	}
	for _, sym := range all {
		if elf.ST_TYPE(sym.Info) == elf.STT_FUNC && sym.Value >= t.low && sym.Value < t.high {
			t.functions = append(t.functions, sym)
		}
	}
	sort.Slice(t.functions, func(i, j int) bool { return t.functions[i].Value < t.functions[j].Value })
	if pcln := f.Section(".gopclntab"); pcln != nil {
		if data, err := pcln.Data(); err == nil {
			t.lines, _ = gosym.NewTable(nil, gosym.NewLineTable(data, t.low))
		}
	}
	s.tables = append(s.tables, t)
}

// describe names the place of an address in the code, or returns "".
func (t *symbolTable) describe(pc uint64) string {
	if pc < t.low || pc >= t.high {
		return ""
	}
	i := sort.Search(len(t.functions), func(i int) bool { return t.functions[i].Value > pc }) - 1
	if i < 0 {
		return ""
	}
	sym := t.functions[i]
	where := sym.Name
	if off := pc - sym.Value; off != 0 {
		where += fmt.Sprintf("+%#x", off)
	}
	if t.lines != nil {
		if file, line, fn := t.lines.PCToLine(pc); fn != nil {
			where += fmt.Sprintf(" %s:%d", filepath.Base(file), line)
		}
	}
	return where
}

// address is a hexadecimal number with at least six digits, with or without 0x.
var address = regexp.MustCompile(`\b(?:0x)?[0-9a-f]{6,16}\b`)

// owner is the container that a line of the console is about: "NAME| what it printed" or "[NAME] what its platform said".
var owner = regexp.MustCompile(`^(?:([^|\s]+)\||\[([^]\s]+)\] )`)

// annotate adds the names of functions to the addresses in text. A line that is not about a container is about the
// nonkernel. The platform and the companion lie at addresses of their own.
func (s *symbols) annotate(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		name := nonkernelName
		if m := owner.FindStringSubmatch(line); m != nil {
			name = m[1] + m[2]
		}
		out.WriteString(s.annotateLine(name, line))
	}
	return out.String()
}

func (s *symbols) annotateLine(name, line string) string {
	return address.ReplaceAllStringFunc(line, func(word string) string {
		pc, err := strconv.ParseUint(strings.TrimPrefix(word, "0x"), 16, 64)
		if err != nil {
			return word
		}
		for i := range s.tables {
			t := &s.tables[i]
			if t.name != name && t.name != platformName && t.name != uplinkName {
				continue
			}
			if where := t.describe(pc); where != "" {
				return word + " [" + where + "]"
			}
		}
		return word
	})
}

// Names of the parts of the system in a symbols.
const (
	nonkernelName = "nonkernel"
	platformName  = "metal"
	rootName      = "root"
	uplinkName    = "uplink"
)
