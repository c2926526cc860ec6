package mustertest

// Partition splits the members into groups that don't reach each other; those
// not named form one more group. What is sent between groups vanishes:
// connections hang and don't break. It replaces an earlier partition.
func (c *Cluster) Partition(groups ...[]string) { c.net.Partition(groups...) }

// Isolate cuts one member off from all others.
func (c *Cluster) Isolate(name string) { c.net.Partition([]string{name}) }

// Block makes what one member sends to another vanish; the other direction
// stays as it is.
func (c *Cluster) Block(from, to string) { c.net.Block(from, to) }

// Heal ends every Partition, Isolate and Block.
func (c *Cluster) Heal() { c.net.Heal() }

// Cut breaks the connections between two members; they may connect again.
func (c *Cluster) Cut(a, b string) { c.net.Cut(a, b) }
