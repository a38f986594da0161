package api

import "github.com/phoenixchat/phoenixchat/functions/store"

// Endpoints lists every endpoint as "METHOD /path", for tests.
func (a *API) Endpoints() (list []string) {
	for segment, routes := range a.routes() {
		for _, rt := range routes {
			list = append(list, rt.method+" "+rt.name(segment))
		}
	}
	return list
}

// RouteBudgets returns the name of the budget of every endpoint.
func (a *API) RouteBudgets() map[string]string {
	names := map[string]string{}
	for segment, routes := range a.routes() {
		for _, rt := range routes {
			name := rt.budget.Name
			if rt.access == admin {
				name = adminCalls.Name
			}
			names[rt.method+" "+rt.name(segment)] = name
		}
	}
	return names
}

// ExportedProfile returns the profile of u as an export has it.
func ExportedProfile(u store.User) any { return ownOf(u) }
