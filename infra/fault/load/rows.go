package load

// Rows returns how many rows the stores of all devices have beside messages; see client.Store.Rows.
func (c *Crowd) Rows() (n int) {
	for _, d := range c.devices {
		store, _ := d.storeAndApp()
		n += store.Rows()
	}
	return n
}
