package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// linuxKernel is the Debian package of the kernel that nom is compared with.
const linuxKernel = "linux-image-6.12.95+deb12-amd64"

// linuxFiles are what a Linux guest is booted from.
type linuxFiles struct {
	kernel, initramfs string
	environment       string // of its first program: words of the kernel's command line, each with a space behind it
}

// makeLinux gets a kernel, which stays in the user's cache, and makes an initramfs of the programs in dir.
func makeLinux(ctx context.Context, dir string, vf bool) (*linuxFiles, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	root := filepath.Join(cache, "nom-bench", linuxKernel)
	if _, err := os.Stat(root); err != nil {
		if err := unpackKernel(ctx, root); err != nil {
			return nil, err
		}
	}
	kernels, _ := filepath.Glob(root + "/boot/vmlinuz-*")
	if len(kernels) != 1 {
		return nil, fmt.Errorf("%s has %d kernels, want one: remove the folder", root, len(kernels))
	}
	if err := goBuild(ctx, dir, "init"); err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, name := range append([]string{"init"}, programs...) {
		files[name] = filepath.Join(dir, name)
	}
	for _, m := range []string{"drivers/dca/dca", "drivers/i2c/algos/i2c-algo-bit", "drivers/net/ethernet/intel/igb/igb", "drivers/net/ethernet/intel/igbvf/igbvf"} {
		found, _ := filepath.Glob(root + "/lib/modules/*/kernel/" + m + ".ko.xz")
		if len(found) != 1 {
			return nil, fmt.Errorf("%s has no module %s", root, m)
		}
		files[filepath.Base(found[0])] = found[0]
	}
	image := filepath.Join(dir, "initramfs")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, d := range []string{"dev", "sys"} {
		archive(&b, d, 0o040755, nil)
	}
	for name, from := range files {
		content, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		archive(&b, name, 0o100755, content)
	}
	archive(&b, "TRAILER!!!", 0, nil)
	environment := ""
	if vf {
		environment = "vf=1 "
	}
	return &linuxFiles{kernels[0], image, environment}, os.WriteFile(image, b.Bytes(), 0o600)
}

// unpackKernel downloads the package with apt and unpacks it to root.
func unpackKernel(ctx context.Context, root string) error {
	if err := os.MkdirAll(filepath.Dir(root), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(root), "download-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	get := exec.CommandContext(ctx, "apt-get", "download", linuxKernel)
	get.Dir = tmp
	if out, err := get.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get download %s: %w: %s", linuxKernel, err, lastLine(out))
	}
	packages, _ := filepath.Glob(tmp + "/*.deb")
	if len(packages) != 1 {
		return fmt.Errorf("apt-get downloaded %d packages, want one", len(packages))
	}
	if out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", packages[0], tmp+"/root").CombinedOutput(); err != nil {
		return fmt.Errorf("dpkg-deb: %w: %s", err, lastLine(out))
	}
	return os.Rename(tmp+"/root", root)
}

func lastLine(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

// archive adds a file to an archive in the format newc of cpio, which the kernel unpacks
// (Documentation/driver-api/early-userspace/buffer-format.rst).
func archive(b *bytes.Buffer, name string, mode uint32, content []byte) {
	fmt.Fprintf(b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0)
	b.WriteString(name)
	b.WriteByte(0)
	align(b)
	b.Write(content)
	align(b)
}

func align(b *bytes.Buffer) {
	for b.Len()%4 != 0 {
		b.WriteByte(0)
	}
}
