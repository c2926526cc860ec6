package differential

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// revisionFields are those that hold a revision of the store, in requests and
// answers.
var revisionFields = map[protoreflect.Name]bool{
	"revision": true, "create_revision": true, "mod_revision": true, "compact_revision": true,
	"start_revision": true, "rev": true, "hash_revision": true,
	"min_mod_revision": true, "max_mod_revision": true,
	"min_create_revision": true, "max_create_revision": true,
}

// farOff are revisions that no store comes to.
const farOff = 1 << 61

// shift returns m with by added to every revision that is not zero, negative or
// far off.
func shift(m proto.Message, by int64) proto.Message {
	out := proto.Clone(m)
	visit(out.ProtoReflect(), func(m protoreflect.Message, f protoreflect.FieldDescriptor) {
		if v := m.Get(f); revisionFields[f.Name()] && v.Int() > 0 && v.Int() < farOff {
			m.Set(f, protoreflect.ValueOfInt64(v.Int()+by))
		}
	})
	return out
}

// visit calls do for every field that is set and no message, in m and below.
func visit(m protoreflect.Message, do func(protoreflect.Message, protoreflect.FieldDescriptor)) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				visit(v.List().Get(i).Message(), do)
			}
		case f.IsList():
		case f.Message() != nil:
			visit(v.Message(), do)
		default:
			do(m, f)
		}
		return true
	})
}

// revisionName tells the names of fields that hold a revision.
func revisionName(name string) bool { return revisionFields[protoreflect.Name(name)] }
