package cost

import (
	"fmt"
	"math"
	"strings"
)

// Measured are the paid operations of a message that the bill is computed with. TestPaidOperationsPerMessage compares
// them with what it measures, at MeasuredRate messages a second on one instance.
const (
	MeasuredWrites    = 2.34
	MeasuredPublished = 0.09
	MeasuredRate      = pairs / interval
)

// The pace of the measurement.
const (
	pairs    = 1000 // of users on one instance
	interval = 20   // seconds between two messages of a pair
)

// Numbers that infra/cost/day shares with the bill.
const (
	Days          = 30.0  // of a month
	SocketsServed = 700.0 // of an instance of realtime under load

	HoursConnected = 2.0 // of a daily user, if hidden tabs keep their sockets
	MessagesSent   = 40.0
)

// Assumptions about a daily user whose hidden tabs sleep. TestBillOfADay of infra/cost/day compares them with
// replayed days. Only people who have granted push sleep.
const (
	PushShare     = 0.6
	HoursAwake    = 0.36 // connected on a day, with background visits
	VisitsPerUser = 7.0  // background visits on a day because of a push or of the timer
)

// Assumptions about a daily user, and about the programs.
const (
	atThePeak        = 0.15 // share of the daily users that are connected at the same time
	callsMade        = 15.0
	documentsRead    = 60.0
	monthlyPerDaily  = 2.0   // users in a month for each user in a day
	inboxBytes       = 50e3  // of Redis, until a day after the last use
	documentBytes    = 1.5e3 // of a saved message, with its indexes
	eventBytes       = 900.0 // of a message in Pub/Sub
	trafficBytes     = 2e3   // to browsers for each message that is sent
	logBytes         = 700.0 // for each call of a function
	reportBytes      = 1e3   // of the counters that an instance of realtime logs in a minute
	callSeconds      = 0.25  // until an HTTP function answers
	saveSeconds      = 0.10  // until persist answers
	callsAtOnce      = 10.0  // that one instance of a function handles
	pushedShare      = 0.2   // pushes for each message; of the others, somebody looks, or they share one
	pushReads        = 4.0   // of a push: the recipient, their subscriptions and settings, and the sender
	pushSeconds      = 0.5   // until the push services have answered
	httpFunctions    = 6
	backupsKept      = 8
	retentionDays    = 7.0
	monthHours       = 730.0
	freeLogBytes     = 50 * (1 << 30)
	freeMetricBytes  = 150 * (1 << 20)
	freePublished    = 10 * (1 << 30)
	freeCalls        = 2e6
	freeReads        = 50e3 * Days
	freeWrites       = 20e3 * Days
	flushSeconds     = 0.25 // after the first ack, an instance publishes all of them
	flushesOfMarks   = 1.25 // flushes for each one that a message causes; the others have only read marks
	evaluationsMonth = 86_400
	probeMinutes     = 15.0 // between two runs of the prober, by default
	probeSeconds     = 60.0 // billed for a run of a job at least
	probeReads       = 100.0
	probeWrites      = 8.0
	probeSockets     = 10.0   // seconds in which a run keeps an instance of realtime busy
	countedAtOnce    = 1000.0 // index entries that a count reads for the price of one document
)

// AlertConditions is the number of conditions of all alerts. A test of infra/terraform compares it with them.
const AlertConditions = 16

// LogMetrics is the number of metrics that Cloud Logging makes of log lines. A test of infra/terraform compares it with
// them. Each has a point of a distribution in every minute, of which Google charges pointBytes.
const (
	LogMetrics = 27
	pointBytes = 80.0
)

// MaxRedisUse is the share of Redis's memory above which the alert "Redis memory" fires.
const MaxRedisUse = 0.8

// redisNode is a node type of Redis.
type redisNode struct {
	name         string
	price        Price
	keyBytes     float64 // for keys
	gib          float64 // of the node
	terraformKey string
}

var (
	nano   = redisNode{"nano", redisNano, 1.12e9, 1.4, "REDIS_SHARED_CORE_NANO"}
	medium = redisNode{"highmem-medium", redisMedium, 10.4e9, 13, "REDIS_HIGHMEM_MEDIUM"}
	xlarge = redisNode{"highmem-xlarge", redisXlarge, 46.4e9, 58, "REDIS_HIGHMEM_XLARGE"}
)

// Size is a number of daily users, and the settings that it needs.
type Size struct {
	Name        string
	DailyUsers  float64
	ActiveHours float64 // of a day in which somebody is connected

	node             redisNode
	shards, replicas int
	Settings         []string // lines of production.auto.tfvars that differ from the defaults
	MaxInstances     int      // realtime_max_instances; 0: more than a subnet has room for
}

// Sizes are the columns of the runbook's table.
var Sizes = []Size{
	{Name: "nobody connected", node: nano, shards: 1, MaxInstances: 10},
	{Name: "1,000 a day", DailyUsers: 1000, ActiveHours: 20, node: nano, shards: 1, MaxInstances: 10},
	{Name: "100,000 a day", DailyUsers: 100e3, ActiveHours: 24, node: medium, shards: 1, replicas: 1, MaxInstances: 30,
		Settings: []string{`redis_profile = "durable"`, `redis_node_type = "` + medium.terraformKey + `"`,
			"realtime_max_instances = 30"}},
	{Name: "10 million a day", DailyUsers: 10e6, ActiveHours: 24, node: xlarge, shards: 14, replicas: 1,
		Settings: []string{`redis_profile = "durable"`, `redis_node_type = "` + xlarge.terraformKey + `"`,
			"redis_shards = 14", `log_level = "warn"`}},
}

// RedisUse returns the share of Redis's memory that the inboxes fill.
func (s Size) RedisUse() float64 {
	return s.DailyUsers * inboxBytes / (float64(s.shards) * s.node.keyBytes)
}

// PeakInstances returns the number of instances of realtime at the peak.
func (s Size) PeakInstances() int { return int(math.Ceil(s.DailyUsers * atThePeak / SocketsServed)) }

// averageInstances is the number of instances while somebody is connected, for so many hours each.
func (s Size) averageInstances(hours float64) float64 {
	if s.DailyUsers == 0 {
		return 0
	}
	return math.Ceil(s.DailyUsers * hours / s.ActiveHours / SocketsServed)
}

// publishedPerMessage returns the publishes for each message if an instance handles so many messages a second. It
// publishes everything that was acknowledged within flushSeconds together.
func publishedPerMessage(rate float64) float64 {
	return min(1, flushesOfMarks/(1+flushSeconds*rate))
}

// Line is a line of the bill, in dollars a month.
type Line struct {
	Name    string
	Dollars float64
	Growth  float64 // more each month
	Note    string
}

// functionDollars returns the price of calls in a month to a number of functions, whose calls take a time.
func functionDollars(calls, seconds, functions float64) float64 {
	if calls <= freeCalls {
		return 0
	}
	atOnce := calls / (monthHours * 3600) / functions * seconds
	busy := max(1-math.Exp(-atOnce), atOnce/callsAtOnce) // instances of each function that are billed on average
	return (calls-freeCalls)*CallDollars + functions*busy*monthHours*3600*InstanceSecond
}

// proberDollars returns the price of the prober's runs: the job, the instance of realtime that would otherwise not run,
// the documents of its two messages, and the figures that it reports.
func (s Size) proberDollars(messagesOfDay float64) float64 {
	runs := monthHours * 60 / probeMinutes
	idle := 1 - s.ActiveHours/24
	counted := (s.DailyUsers*monthlyPerDaily + s.DailyUsers + messagesOfDay) / countedAtOnce
	return runs*(probeSeconds*(jobCPUSecond.Dollars+0.5*jobMemorySecond.Dollars)+
		idle*probeSockets*(vCPUSecond.Dollars+memorySecond.Dollars)+
		(probeReads+counted)*ReadDollars+probeWrites*WriteDollars) + scheduler.Dollars
}

// Bill returns the lines of a month in which hidden tabs keep their sockets.
func (s Size) Bill() []Line { return s.bill(HoursConnected, 0) }

// BillAsleep returns the lines of a month in which the hidden tabs of people who have granted push sleep.
func (s Size) BillAsleep() []Line {
	return s.bill(PushShare*HoursAwake+(1-PushShare)*HoursConnected, PushShare*VisitsPerUser)
}

// bill returns the lines of a month in which each user is connected for so many hours a day, and makes so many
// background visits. Each visit has a flush of its own.
func (s Size) bill(hours, visits float64) []Line {
	gib := func(bytes float64) float64 { return bytes / (1 << 30) }
	nodes := float64(s.shards * (1 + s.replicas))
	messages := s.DailyUsers * MessagesSent * Days
	instances := s.averageInstances(hours)
	rate := 0.0
	if instances > 0 {
		rate = messages / Days / (s.ActiveHours * 3600) / instances
	}
	published := messages*publishedPerMessage(rate) + s.DailyUsers*visits*Days
	pushes := messages * pushedShare
	calls := s.DailyUsers * callsMade * Days
	eventBytes := max(messages*eventBytes, published*1000) // a publish is billed for 1,000 bytes at least
	growth := gib(messages*documentBytes) * (stored.Dollars + history.Dollars + backupsKept*backup.Dollars)
	instanceHour := 3600 * (vCPUSecond.Dollars + memorySecond.Dollars)
	reports := instances * monthHours * 60 * s.ActiveHours / 24 * reportBytes
	metricBytes := max(0, LogMetrics*pointBytes*monthHours*60-freeMetricBytes)
	alerts := AlertConditions*condition.Dollars + AlertConditions*evaluationsMonth/1e6*series.Dollars
	note := fmt.Sprintf("%d %s", s.shards, s.node.name)
	if s.replicas > 0 {
		note += ", each with a replica"
	}
	return []Line{
		{Name: "Redis", Dollars: nodes * s.node.price.Dollars * monthHours, Note: note},
		{Name: "Redis, append-only file", Dollars: nodes * s.node.gib * redisAOF.Dollars},
		{Name: "realtime", Dollars: instances * instanceHour * monthHours * s.ActiveHours / 24,
			Note: noteOf(instances)},
		{Name: "HTTP functions", Dollars: functionDollars(calls, callSeconds, httpFunctions)},
		{Name: "persist", Dollars: functionDollars(published, saveSeconds, 1)},
		{Name: "notify", Dollars: functionDollars(pushes, pushSeconds, 1) + max(0, pushes*pushReads)*ReadDollars +
			2*pushes*1000*ByteDollars},
		{Name: "Pub/Sub", Dollars: max(0, 2*eventBytes-freePublished)*ByteDollars +
			gib(eventBytes)*retentionDays/Days*retained.Dollars},
		{Name: "Firestore, operations", Dollars: max(0, messages*MeasuredWrites-freeWrites)*WriteDollars +
			max(0, s.DailyUsers*documentsRead*Days-freeReads)*ReadDollars},
		{Name: "Firestore, storage and backups", Growth: growth},
		s.audit(),
		{Name: "Identity Platform", Dollars: identityDollars(s.DailyUsers * monthlyPerDaily)},
		{Name: "prober", Dollars: s.proberDollars(messages / Days)},
		{Name: "alerts and metrics", Dollars: alerts + metricBytes/(1<<20)*metrics.Dollars},
		{Name: "traffic, logs, images", Dollars: gib(messages*trafficBytes)*traffic.Dollars +
			gib(max(0, (calls+published)*logBytes+reports-freeLogBytes))*logs.Dollars + images.Dollars},
	}
}

func noteOf(instances float64) string {
	if instances == 0 {
		return ""
	}
	return thousands(instances) + " on average"
}

// Table returns the table for the runbook, as Markdown.
func Table() string {
	var b strings.Builder
	bills := make([][]Line, len(Sizes))
	b.WriteString("| |")
	for i, s := range Sizes {
		bills[i] = s.Bill()
		fmt.Fprintf(&b, " %s |", s.Name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(Sizes)) + "\n")
	sums := make([]float64, len(Sizes))
	for n, line := range bills[0] {
		fmt.Fprintf(&b, "| %s |", line.Name)
		for i := range Sizes {
			l := bills[i][n]
			sums[i] += l.Dollars
			b.WriteString(" " + l.cell() + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString("| **total** |")
	for _, sum := range sums {
		fmt.Fprintf(&b, " **%s** |", rounded(sum))
	}
	b.WriteString("\n" + asleepRows() + "| per daily user |")
	for i, s := range Sizes {
		if s.DailyUsers == 0 {
			b.WriteString(" |")
			continue
		}
		fmt.Fprintf(&b, " %.2f |", sums[i]/s.DailyUsers)
	}
	fmt.Fprintf(&b, "\n| %s |", Sizes[0].Domain().Name)
	for _, s := range Sizes {
		fmt.Fprintf(&b, " %s more |", s.Domain().cell())
	}
	b.WriteString("\n| Redis is full to |")
	for _, s := range Sizes {
		fmt.Fprintf(&b, " %.0f %% |", 100*s.RedisUse())
	}
	b.WriteString("\n| instances of realtime at the peak |")
	for _, s := range Sizes {
		fmt.Fprintf(&b, " %s |", thousands(float64(s.PeakInstances())))
	}
	b.WriteString("\n| settings |")
	for _, s := range Sizes {
		settings := "the defaults"
		if len(s.Settings) > 0 {
			settings = "`" + strings.Join(s.Settings, "`, `") + "`"
		}
		if s.MaxInstances == 0 {
			settings += ", and [more](#ten-million-users)"
		}
		fmt.Fprintf(&b, " %s |", settings)
	}
	return b.String() + "\n"
}

// asleepRows returns the rows of the table about hidden tabs that sleep: the lines that differ, and the total.
func asleepRows() string {
	var b strings.Builder
	for n, line := range Sizes[0].Bill() {
		cells, differs := "", false
		for _, s := range Sizes {
			l := s.BillAsleep()[n]
			cells += " " + l.cell() + " |"
			differs = differs || l.cell() != s.Bill()[n].cell()
		}
		if differs {
			fmt.Fprintf(&b, "| if tabs sleep: %s |%s\n", line.Name, cells)
		}
	}
	b.WriteString("| **if tabs sleep: total** |")
	for _, s := range Sizes {
		sum := 0.0
		for _, l := range s.BillAsleep() {
			sum += l.Dollars
		}
		fmt.Fprintf(&b, " **%s** |", rounded(sum))
	}
	return b.String() + "\n"
}

// cell returns the text of a line in the table.
func (l Line) cell() string {
	text := rounded(l.Dollars)
	switch {
	case l.Growth >= 0.5:
		text = rounded(l.Growth) + " more each month"
	case l.Note != "":
		text += " (" + l.Note + ")"
	}
	return text
}

// rounded returns dollars with two significant digits, or three from a thousand on.
func rounded(dollars float64) string {
	unit := 1.0
	for limit := 100.0; dollars >= limit; limit *= 10 {
		unit = limit / 10
		if limit >= 1000 {
			unit = limit / 100
		}
	}
	return thousands(math.Round(dollars/unit) * unit)
}

// thousands writes a whole number with commas.
func thousands(n float64) string {
	digits := fmt.Sprintf("%.0f", n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
