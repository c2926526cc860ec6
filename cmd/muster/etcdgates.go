package main

import (
	"fmt"
	"strconv"
	"strings"
)

// gates reads --feature-gates, NAME=true and more after commas. One has a meaning
// here, which former releases have a flag for.
func (c *etcdCommand) gates() error {
	list := c.said["feature-gates"]
	if list == "" {
		return nil
	}
	var idle []string
	for _, g := range strings.Split(list, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(g), "=")
		on, err := strconv.ParseBool(strings.TrimSpace(value))
		switch name = strings.TrimSpace(name); {
		case name == "":
		case err != nil:
			return fmt.Errorf("--feature-gates %q: want NAME=true or NAME=false, and more after commas", g)
		case name == "InitialCorruptCheck":
			if c.said["initial-corrupt-check"] == "" {
				c.set("initial-corrupt-check", strconv.FormatBool(on))
			}
		default:
			idle = append(idle, name)
		}
	}
	if len(idle) > 0 {
		c.idle = append(c.idle, "--feature-gates "+strings.Join(idle, ","))
	}
	return nil
}
