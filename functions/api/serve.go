package api

import "net/http"

func (a *API) serve(segment string, routes []route) http.Handler { return http.NotFoundHandler() }

type route struct{}
