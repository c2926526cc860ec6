package differential

// gatewayProgram sends requests of all services as JSON, some of them damaged, and
// streams over WebSockets.
func gatewayProgram(g *gen) program {
	var steps []Step
	if g.one(4) {
		for range 5 + g.IntN(10) {
			steps = append(steps, g.authSetup())
		}
		steps = append(steps, enableAuth()...)
		steps = append(steps, g.authenticate(), g.authenticate())
		for range 10 + g.IntN(30) {
			step := g.asJSON(g.authStep())
			if g.one(8) {
				step = g.socketStep()
			}
			step.As = g.as()
			steps = append(steps, step)
		}
		return program{steps: steps}
	}
	for range 10 + g.IntN(50) {
		if g.one(8) {
			steps = append(steps, g.socketStep())
			continue
		}
		steps = append(steps, g.asJSON(g.anyStep()))
	}
	return program{steps: steps}
}

func (g *gen) anyStep() Step {
	g.lease = true
	switch n := g.IntN(20); {
	case n < 9:
		return g.kvStep()
	case n < 12:
		return g.leaseStep()
	case n < 14:
		return g.maintenanceStep()
	case n < 15:
		return g.memberStep()
	case n < 18:
		return g.lockStep()
	default:
		return g.authSetup()
	}
}

// mayDamageJSON leaves out what might become a request that stops etcd, one that
// is known to be answered otherwise, or one on which an ID is drawn.
func mayDamageJSON(step Step) bool {
	switch step.Method {
	case "Maintenance/Alarm", "Maintenance/HashKV", "Lease/LeaseGrant", "Lock/Lock", "Election/Campaign", "Election/Proclaim", "Election/Resign":
		return false
	}
	return true
}

// asJSON leaves alone what lasts, what has an answer that is cut as the server
// likes, and what a later step refers to by what was answered.
func (g *gen) asJSON(step Step) Step {
	if onlyAsMessage(step.Req) {
		return step
	}
	switch step.Method {
	case "Auth/Authenticate", "KV/RangeStream", "Maintenance/Snapshot", "Lease/LeaseLeases", "Lease/LeaseTimeToLive":
		return step
	}
	step.More = nil
	step.JSON = &jsonForm{verb: "POST", lower: g.one(2), defaults: g.one(4)}
	if g.one(50) {
		step.JSON.verb = pick(g, "GET", "PUT", "DELETE", "HEAD", "OPTIONS")
	}
	if mayDamageJSON(step) && g.one(6) {
		step.JSON.damage = pick(g, "cut", "value 5", "value null", "value {}", "value []", "value true", "value 1.5", `value "%%"`, `value "1"`,
			`value "YQ"`, `value "99999999999999999999"`, "value -1", "name nonsense", "name key", "whole", "whole null", "whole []", "whole {}{}", "whole x", "whole 5", "after }", "after {}")
	}
	return step
}
