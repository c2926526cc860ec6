package kv

// Tokens is told of the tokens that users are given, in the order of the log.
// They are no part of the state: a member that starts, or gets an image, knows
// none of those given before. How long one holds is for the implementation to
// say. Calls come from the goroutine that drives the machine.
type Tokens interface {
	// Grant says that whoever shows the token is that user.
	Grant(token, user string)
	// Forget says that the tokens of a user hold no longer: it was deleted, or
	// its password changed.
	Forget(user string)
	// ForgetAll says so of all.
	ForgetAll()
}

type noTokens struct{}

func (noTokens) Grant(string, string) {}
func (noTokens) Forget(string)        {}
func (noTokens) ForgetAll()           {}
