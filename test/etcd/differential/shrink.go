package differential

// shrinkTries bounds how often a failing program is played to make it smaller.
const shrinkTries = 300

// shrink returns a smaller program that fails still, and how: steps are taken
// out, but for those that are kept, first many at a time, as long as what is left
// shows a difference. Fails
// is asked at most shrinkTries times.
func shrink(prog program, first *difference, fails func(program) *difference) (program, *difference) {
	prog.steps = prog.steps[:first.at+1] // what comes after can't matter
	last := first
	tries := 0
	for size := len(prog.steps) / 2; size > 0; {
		removed := false
		for from := 0; from < len(prog.steps) && tries < shrinkTries; {
			less := program{exact: prog.exact}
			for i, s := range prog.steps {
				if i < from || i >= from+size || s.kept {
					less.steps = append(less.steps, s)
				}
			}
			if len(less.steps) == len(prog.steps) {
				from += size
				continue
			}
			tries++
			d := fails(less)
			if d == nil {
				from += size
				continue
			}
			less.steps = less.steps[:d.at+1]
			prog, last, removed = less, d, true
		}
		if !removed || size > len(prog.steps) {
			size /= 2
		}
	}
	return prog, last
}
