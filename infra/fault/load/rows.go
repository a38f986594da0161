package load

// Rows returns how many rows the stores of all devices have beside messages: those of the Go twin (see
// client.Store.Rows), and those of the browser's own store.
func (c *Crowd) Rows() (twin, browser int) {
	for _, d := range c.devices {
		store, _ := d.storeAndApp()
		if isBrowser(store) {
			browser += store.Rows()
		} else {
			twin += store.Rows()
		}
	}
	return twin, browser
}
