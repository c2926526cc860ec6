# Adds up what the tests of the crash disk report, by package; for `make crash`.

/crash disk: / {
	sub(/.*crash disk: /, "")
	n = $1
	sub(/^[0-9]+ /, "")
	sum[$0] += n
	total[$0] += n
	next
}

/^ok/ { line($2, sum) }
/^(ok|FAIL)/ { delete sum }

/FAIL|panic|_test\.go/ && !/ (refused|harmless|crash points|poisoned|resumed at)/ { print }

END { line("all", total) }

function line(name, of) {
	printf "%-46s %6d images %6d faults %6d bit flips\n", name, of["images"], of["faults"], of["bit flips"]
}
