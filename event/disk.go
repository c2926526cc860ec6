package event

import "fmt"

// DiskSpace: the disk of the data directory runs out of space, or has enough again.
type DiskSpace struct {
	Dir   string `json:"dir"`
	Free  int64  `json:"free_bytes"`
	Total int64  `json:"total_bytes"`
	Low   bool   `json:"low"`
}

// Kind implements [Event].
func (DiskSpace) Kind() string { return "disk_space" }

// Text implements [Event].
func (e DiskSpace) Text() string {
	if !e.Low {
		return fmt.Sprintf("there is space enough again on the disk of %s: %s", e.Dir, Bytes(e.Free))
	}
	return fmt.Sprintf("the disk of %s is almost full: %s of %s are free", e.Dir, Bytes(e.Free), Bytes(e.Total))
}
