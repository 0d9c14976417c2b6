package main

import (
	"errors"

	"nom.dev/nom/hw/cpu"
	"nom.dev/nom/kernel/backend"
	"nom.dev/nom/kernel/svm"
)

// processor chooses the backend that this processor offers; kernel/core knows none by name.
func processor(h backend.Host) (backend.Backend, error) {
	has := cpu.Identify(func(leaf, sub uint32) (l cpu.Leaf) {
		l.EAX, l.EBX, l.ECX, l.EDX = h.CPUID(leaf, sub)
		return l
	}).Features
	switch {
	case has.Has(cpu.FeatureSVM | cpu.FeatureNPT):
		return svm.New(h)
	case has.Has(cpu.FeatureSVM):
		return nil, errors.New("this processor has SVM without nested paging, which containers need")
	case has.Has(cpu.FeatureVMX):
		return nil, errors.New("this processor has VMX, for which there is no backend yet: containers need AMD's SVM with nested paging")
	}
	return nil, errors.New("this processor offers no virtualization: containers need AMD's SVM with nested paging")
}
