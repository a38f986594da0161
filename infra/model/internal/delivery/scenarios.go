package delivery

// Scenarios are the ones that the command and the tests know by name. The first group is small enough for the tests to
// search it exhaustively. The second group is for exhaustive searches by hand, the third for random walks.
var Scenarios = []Scenario{
	{Name: "calm", Devices: "A0+ B0+", Messages: 1},
	{Name: "offline", Devices: "A0+ B0-", Messages: 1},
	{Name: "four-devices", Devices: "A0+ A1+ B0+ B1+", Messages: 1},
	{Name: "drop", Devices: "A0+ B0+", Messages: 1, Faults: Faults{Drop: 1}},
	{Name: "crash", Devices: "A0+ B0+", Messages: 1, Faults: Faults{Crash: 1}},
	{Name: "new-device", Devices: "A0+ A1* B0+", Messages: 1},
	{Name: "reload-trimmed", Devices: "A0+ B0-", Messages: 1, Retain: 1, Faults: Faults{Reload: 1}},
	{Name: "drop-shed", Devices: "A0+ B0-", Messages: 1, Retain: 1, MaxEntries: 2, Faults: Faults{Drop: 1}},
	{Name: "goaway", Devices: "A0+ B0+", Messages: 1, Faults: Faults{Goaway: 1}},
	{Name: "expire", Devices: "A0+ B0-", Messages: 1, Faults: Faults{Expire: 1}},
	{Name: "wipe", Devices: "A0+ B0+", Messages: 1, Faults: Faults{Wipe: 1}},
	{Name: "withdraw", Devices: "A0+ A1+ B0+", Messages: 1, Faults: Faults{Withdraw: 1}},
	{Name: "withdraw-drop", Devices: "A0+ B0+", Messages: 1, Faults: Faults{Withdraw: 1, Drop: 1}},
	{Name: "withdraw-crash", Devices: "A0+ B0+", Messages: 1, Faults: Faults{Withdraw: 1, Crash: 1}},
	{Name: "withdraw-trimmed", Devices: "A0+ B0-", Messages: 1, Retain: 1, Faults: Faults{Withdraw: 1}},
	{Name: "withdraw-expire", Devices: "A0+ B0-", Messages: 1, Faults: Faults{Withdraw: 1, Expire: 1}},

	{Name: "failover", Devices: "A0+ B0+", Messages: 1, Faults: Faults{Failover: 1}},
	{Name: "first-visits", Devices: "A0+ A1* B0* B1*", Messages: 1, Retain: 1},
	{Name: "crash-second-device", Devices: "A0+ A1- B0-", Messages: 1, Faults: Faults{Crash: 1}},
	{Name: "goaway-crash", Devices: "A0+ B0+", Messages: 1, Faults: Faults{Goaway: 1, Crash: 1}},
	{Name: "reply", Devices: "A0+ B0+", Messages: 2},
	{Name: "withdraw-two", Devices: "A0+ B0+ B1+", Messages: 1, Faults: Faults{Withdraw: 1}},
	{Name: "withdraw-failover", Devices: "A0+ B0+", Messages: 1, Faults: Faults{Withdraw: 1, Failover: 1}},

	{Name: "everything", Devices: "A0+ A1- B0+ B1*", Messages: 3, Faults: Faults{
		Drop: 1, Crash: 1, Failover: 1, Wipe: 1, Expire: 1, Reload: 1, Goaway: 1}},
	{Name: "everything-trimmed", Devices: "A0+ A1- B0+ B1-", Messages: 3, Retain: 1, MaxEntries: 4, Faults: Faults{
		Drop: 1, Crash: 1, Failover: 1, Wipe: 1, Expire: 1, Reload: 1, Goaway: 1}},
	{Name: "redis-twice", Devices: "A0+ A1+ B0+ B1+", Messages: 3, ClockBehind: true, Faults: Faults{
		Failover: 2, Crash: 1}},
	{Name: "withdraw-everything", Devices: "A0+ A1- B0+ B1*", Messages: 3, Faults: Faults{
		Drop: 1, Crash: 1, Failover: 1, Expire: 1, Reload: 1, Withdraw: 1}},
	{Name: "withdraw-devices", Devices: "A0+ A1+ B0+ B1+", Messages: 3, Retain: 2, Faults: Faults{
		Drop: 1, Crash: 1, Withdraw: 2}},
	{Name: "wipe-reload", Devices: "A0+ B0+ B1-", Messages: 3, ClockAhead: 2, Faults: Faults{Wipe: 1, Reload: 2}},
}
