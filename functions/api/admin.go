package api

type figures struct{}

func (a *API) adminRoutes() []route { return nil }
