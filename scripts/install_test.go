// Package scripts_test tests the shell scripts of this folder on a made-up system: their own /etc, and programs that
// only write down that they were called.
package scripts_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fakeQEMU claims to be version $1 and to have the network card.
const fakeQEMU = `#!/bin/sh
case "$*" in
--version) echo "QEMU emulator version VERSION (Debian)" ;;
*) echo 'name "igb", bus PCI'; for i in $(seq 2000); do echo "name \"device-$i\""; done ;;
esac
`

// fakeApt writes down how it was called; an installation makes QEMU appear.
const fakeApt = `#!/bin/sh
echo "apt-get $*" >> "$NOM_TEST_ETC/log"
case "$*" in *install*) sed "s/VERSION/$NOM_TEST_NEW/" "$NOM_TEST_ETC/qemu" > "$NOM_TEST_BIN/qemu-system-x86_64"; chmod +x "$NOM_TEST_BIN/qemu-system-x86_64" ;; esac
`

const (
	debian12 = "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n"
	debian13 = "ID=debian\nVERSION_ID=\"13\"\n"
	deb822   = "Types: deb deb-src\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\nSigned-By: /usr/share/keyrings/k.gpg\n"
	security = "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: bookworm\n\nTypes: deb\nURIs: http://mirror.example/security\nSuites: bookworm-security\n\n"
)

func TestInstallQEMU(t *testing.T) {
	install := "apt-get install -y -q --no-install-recommends qemu-system-x86"
	backports := "apt-get install -y -q --no-install-recommends -t bookworm-backports qemu-system-x86"
	tests := []struct {
		name     string
		release  string
		files    map[string]string // in /etc/apt
		have     string            // version of QEMU that is there
		new      string            // version that apt has
		wantLog  string            // last call of apt-get
		wantLine string            // in nom-backports.list
		wantErr  string
	}{
		{name: "is there", release: debian12, have: "10.0.2"},
		{name: "is there, the oldest", release: debian12, have: "9.2.0"},
		{name: "debian 12, deb822", release: debian12, files: map[string]string{"sources.list.d/a.sources": security, "sources.list.d/debian.sources": deb822}, new: "10.0.2",
			wantLog: backports, wantLine: "deb [signed-by=/usr/share/keyrings/k.gpg] http://mirror.example/debian bookworm-backports main\n"},
		{name: "debian 12, too old", release: debian12, files: map[string]string{"sources.list.d/debian.sources": security + deb822}, have: "7.2.22", new: "10.0.2",
			wantLog: backports, wantLine: "deb [signed-by=/usr/share/keyrings/k.gpg] http://mirror.example/debian bookworm-backports main\n"},
		{name: "debian 12, one line", release: debian12, files: map[string]string{"sources.list": "deb-src http://x/ bookworm main\n#deb http://y/ bookworm main\ndeb http://z/debian/ bookworm main contrib\n"},
			new: "10.0.2", wantLog: backports, wantLine: "deb http://z/debian/ bookworm-backports main\n"},
		{name: "debian 12, options", release: debian12, files: map[string]string{"sources.list": "deb [ arch=amd64 signed-by=/k.gpg ] http://z/ bookworm main\n"},
			new: "10.0.2", wantLog: backports, wantLine: "deb [signed-by=/k.gpg] http://z/ bookworm-backports main\n"},
		{name: "debian 12, known", release: debian12, files: map[string]string{"sources.list": "deb http://z/ bookworm main\ndeb http://b/ bookworm-backports main\n"},
			new: "10.0.2", wantLog: backports},
		{name: "debian 12, no source", release: debian12, wantErr: "add bookworm-backports by hand"},
		{name: "debian 13", release: debian13, new: "10.0.2", wantLog: install},
		{name: "ubuntu", release: "ID=ubuntu\nVERSION_ID=25.04\n", new: "9.2.1", wantLog: install},
		{name: "old ubuntu", release: "ID=ubuntu\nVERSION_ID=24.04\n", new: "8.2.2", wantLog: install, wantErr: "older than 9.2"},
		{name: "another", release: "ID=mint\n", new: "9.2.1", wantLog: install},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			etc, bin := t.TempDir(), t.TempDir()
			files := map[string]string{"os-release": tt.release, "qemu": fakeQEMU}
			for name, text := range tt.files {
				files["apt/"+name] = text
			}
			for name, text := range files {
				write(t, filepath.Join(etc, name), text, 0o644)
			}
			write(t, filepath.Join(etc, "apt/sources.list.d/README"), "", 0o644)
			write(t, filepath.Join(bin, "apt-get"), fakeApt, 0o755)
			write(t, filepath.Join(bin, "sudo"), "#!/bin/sh\nexec \"$@\"\n", 0o755)
			if tt.have != "" {
				write(t, filepath.Join(bin, "qemu-system-x86_64"), strings.ReplaceAll(fakeQEMU, "VERSION", tt.have), 0o755)
			}
			out, err := runScript(t, etc, bin, tt.new)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(out, tt.wantErr) {
					t.Fatalf("got error %v, want %q in:\n%s", err, tt.wantErr, out)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			log := strings.TrimSpace(read(filepath.Join(etc, "log")))
			if got := log[strings.LastIndex(log, "\n")+1:]; got != tt.wantLog {
				t.Errorf("last call of apt-get: got %q, want %q", got, tt.wantLog)
			}
			if got := read(filepath.Join(etc, "apt/sources.list.d/nom-backports.list")); got != tt.wantLine {
				t.Errorf("sources: got %q, want %q", got, tt.wantLine)
			}
			if out, err := runScript(t, etc, bin, tt.new); err != nil || out != "" {
				t.Errorf("the second time: error %v, output %q", err, out)
			}
		})
	}
}

// runScript runs the script and returns what it printed. PATH has the made-up programs and the few real ones it needs.
func runScript(t *testing.T, etc, bin, apt string) (string, error) {
	t.Helper()
	for _, tool := range []string{"sh", "bash", "sed", "awk", "grep", "id", "tee", "env", "chmod", "seq"} {
		real, err := exec.LookPath(tool)
		if err != nil {
			t.Skipf("no %s here", tool)
		}
		if err := os.Symlink(real, filepath.Join(bin, tool)); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("bash", "install-qemu.sh")
	cmd.Env = []string{"PATH=" + bin, "NOM_TEST_ETC=" + etc, "NOM_TEST_BIN=" + bin, "NOM_TEST_NEW=" + apt}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func write(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func read(file string) string {
	b, _ := os.ReadFile(file)
	return string(b)
}
