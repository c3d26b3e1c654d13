package sqlite

import (
	"path/filepath"
	"syscall"
)

// networkDisks are file systems that other machines may write to, by the kernel's numbers
// (statfs(2)).
var networkDisks = map[uint32]string{
	0x6969:     "NFS",
	0x517B:     "SMB",
	0xFE534D42: "SMB",
	0xFF534D42: "CIFS",
	0x01021997: "9P",
	0x00C36400: "Ceph",
	0x5346414F: "AFS",
	0x6B414653: "AFS",
	0x01161970: "GFS2",
	0x7461636F: "OCFS2",
	0x0BD00BD0: "Lustre",
}

// networkDisk returns the kind of the file system if it is a network's, and otherwise "".
func networkDisk(file string) string {
	var disk syscall.Statfs_t
	if syscall.Statfs(filepath.Dir(file), &disk) != nil {
		return ""
	}
	return networkDisks[uint32(disk.Type)] //nolint:gosec // a 32-bit number, in a field that is wider on some machines
}
