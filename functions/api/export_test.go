package api

// Endpoints lists every endpoint as "METHOD /path", for tests.
func (a *API) Endpoints() (list []string) {
	for segment, routes := range a.routes() {
		for _, rt := range routes {
			list = append(list, rt.method+" "+rt.name(segment))
		}
	}
	return list
}
