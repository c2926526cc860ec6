package differential

import (
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// jwtProgram manages users and roles by signed tokens, many of which are none.
func jwtProgram(g *gen) program {
	prog := authProgram(g)
	for range 3 {
		at := g.IntN(len(prog.steps) + 1)
		if at == len(prog.steps) || !prog.steps[at].kept {
			prog.steps = slices.Insert(prog.steps, at, g.briefWatch()...)
		}
	}
	for i := range prog.steps {
		step := &prog.steps[i]
		if step.kept || step.As == "" {
			continue
		}
		step.Token = g.tokenForm(step.As)
		if step.Method != "Auth/Authenticate" && step.Method != watchMethod && g.one(5) {
			step.JSON = g.asJSON(*step).JSON
		}
	}
	return prog
}

// briefWatch is over before users or roles change: nothing is watched any more by
// an old token.
func (g *gen) briefWatch() []Step {
	create := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: g.watchCreate()}}
	return []Step{{Method: watchMethod, As: g.as(), Req: create}, {Method: syncMethod}, {Method: closeMethod}}
}

// tokenForm is the user's, mostly as it should be.
func (g *gen) tokenForm(user string) *tokenForm {
	f := &tokenForm{claims: `{"username":"` + user + `","revision":REV,"exp":LATER}`}
	if g.one(2) {
		return f
	}
	switch g.IntN(4) {
	case 0:
		f.damage = pick(g, "cut", "unsigned", "changed", "bearer", "parts")
	case 1:
		f.key = "other"
		if g.one(2) {
			f.key, f.method = "public", "HS256"
		}
	case 2:
		f.method = pick(g, "none", "RS512", "HS384", "PS256", "ES256", "EdDSA", "RS256", "HS256")
	default:
		f.claims = g.claims(user)
	}
	return f
}

// claims are odd in one way or another.
func (g *gen) claims(user string) string {
	name := `"username":"` + user + `"`
	if g.one(2) {
		return `{` + name + `,"revision":REV,` + pick(g,
			`"exp":PAST`, `"exp":"LATER"`, `"exp":null`, `"exp":0`, `"exp":-1`, `"exp":1e300`, `"exp":LATER.5`, `"Exp":PAST`, `"exp":{}`,
			`"nbf":LATER`, `"nbf":PAST`, `"nbf":"x"`, `"nbf":null`, `"iat":LATER`, `"iat":"x"`, `"iat":null`,
			`"iss":5`, `"iss":null`, `"sub":[]`, `"aud":5`, `"aud":["a","b"]`, `"aud":[5]`, `"jti":{}`, `"more":{"a":[1,2]}`,
			`"username":"root"`, `"revision":1`, `"Username":"root"`) + `}`
	}
	return pick(g,
		`{"revision":REV}`, `{`+name+`}`, `{}`, `[]`, `null`, `5`, `"text"`, `nonsense`, ``,
		`{`+name+`,"revision":"REV"}`, `{`+name+`,"revision":null}`, `{`+name+`,"revision":REV.9}`, `{`+name+`,"revision":REV.0}`,
		`{`+name+`,"revision":OLD}`, `{`+name+`,"revision":0}`, `{`+name+`,"revision":1e3}`, `{`+name+`,"revision":1e18}`, `{`+name+`,"revision":[REV]}`,
		`{"Username":"`+user+`","revision":REV}`, `{"USERNAME":"`+user+`","Revision":REV}`,
		`{"username":5,"revision":REV}`, `{"username":null,"revision":REV}`, `{"username":"","revision":REV}`, `{"username":["`+user+`"],"revision":REV}`,
		`{`+name+`,"revision":REV}`, `{`+name+`,"revision":REV} x`, `{`+name+`,"revision":REV}{}`,
		`{`+name+`,"revision":1000000}`, `{`+name+`,"revision":REV,"revision":0}`,
	)
}
