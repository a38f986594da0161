package cost

// The unit prices of an own domain. Without the variable domain, none of them applies.
var (
	forwarding = Price{18.25, "month", "own domain, up to five forwarding rules", false}
	balanced   = Price{0.008, "GiB in either direction", "own domain, data through the load balancer", false}
	policy     = Price{5, "policy and month", "own domain, Cloud Armor", false}
	policyRule = Price{1, "rule and month", "own domain, Cloud Armor", false}
	policed    = Price{0.75, "million requests", "own domain, Cloud Armor", false}
	cached     = Price{0.0075, "10,000 requests", "own domain, Cloud CDN", false}
)

// Numbers of resources that infra/terraform/domain.tf creates. A test of infra/terraform compares the two.
const (
	DomainPolicies = 2
	DomainRules    = 4 // with the last rule of each policy
)

// Assumptions about a daily user of a domain.
const (
	policedRequests = 10.0  // pages, sockets and sign-ups in a day
	cachedRequests  = 10.0  // assets that the browser does not have, in a day
	assetBytes      = 30e3  // of these assets, from the cache
	receivedBytes   = 0.5e3 // from browsers for each message that is sent
)

// Domain returns what an own domain costs in a month, besides the bill.
func (s Size) Domain() Line {
	const gib = 1 << 30
	messages := s.DailyUsers * MessagesSent * Days
	dollars := forwarding.Dollars + DomainPolicies*policy.Dollars + DomainRules*policyRule.Dollars
	dollars += messages * (trafficBytes + receivedBytes) / gib * balanced.Dollars
	dollars += s.DailyUsers * policedRequests * Days / 1e6 * policed.Dollars
	dollars += s.DailyUsers * cachedRequests * Days / 10_000 * cached.Dollars
	dollars += s.DailyUsers * assetBytes * Days / gib * traffic.Dollars
	return Line{Name: "own domain, if you set `domain`", Dollars: dollars}
}
