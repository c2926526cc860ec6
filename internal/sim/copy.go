package sim

import "encoding/json"

// copyOf sends a value through its encoding: two processes share nothing.
func copyOf[T any](v T) T {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain data: cannot fail
	}
	var out T
	if err := json.Unmarshal(b, &out); err != nil {
		panic(err) // it was encoded just now
	}
	return out
}
