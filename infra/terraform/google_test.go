package terraform

import (
	"cmp"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
)

// googleAPIs are Google's APIs as far as the real provider needs them for an apply, a second plan and a destroy. They
// store what is sent, and answer with it and with what Google adds by itself: ids, and the defaults that a provider
// reads back (see additions). They refuse calls of an API that is not enabled, and to delete what something else
// uses. Otherwise they judge nothing: whether Google would accept a request is not tested here.
type googleAPIs struct {
	mu       sync.Mutex
	objects  map[string]map[string]any // by host and path
	policies map[string]any            // IAM policies, by host and path
	enabled  map[string]bool
	made     int
	unknown  []string // requests for objects that do not exist, for the log of a failed test
}

// newGoogleAPIs returns the APIs of a project in which only those are enabled that the runbook enables before the first
// apply.
func newGoogleAPIs() *googleAPIs {
	return &googleAPIs{objects: map[string]map[string]any{}, policies: map[string]any{}, enabled: map[string]bool{
		"serviceusage.googleapis.com": true, "cloudresourcemanager.googleapis.com": true}}
}

// endpoints are the variables that send the provider's requests to a server: the host of the API is the first part of
// the path.
func (g *googleAPIs) endpoints(server string) (env []string) {
	for name, url := range map[string]string{
		"APIKEYS":                "apikeys/v2/",
		"ARTIFACT_REGISTRY":      "artifactregistry/v1/",
		"BILLING_BUDGETS":        "billingbudgets/v1/",
		"CLOUD_BILLING":          "cloudbilling/v1/",
		"CLOUD_RUN":              "run1/",
		"CLOUD_RUN_V2":           "run/v2/",
		"CLOUD_SCHEDULER":        "cloudscheduler/v1/",
		"CLOUDFUNCTIONS2":        "cloudfunctions/v2/",
		"COMPUTE":                "compute/compute/v1/",
		"FIREBASERULES":          "firebaserules/v1/",
		"FIRESTORE":              "firestore/v1/",
		"IAM":                    "iam/v1/",
		"IAM_BETA":               "iam/v1/",
		"IAM_CREDENTIALS":        "iamcredentials/v1/",
		"IDENTITY_PLATFORM":      "identitytoolkit/v2/",
		"LOGGING":                "logging/v2/",
		"MONITORING":             "monitoring/",
		"NETWORK_CONNECTIVITYV1": "networkconnectivity/v1/",
		"PUBSUB":                 "pubsub/v1/",
		"REDIS":                  "redis/v1/",
		"RESOURCE_MANAGER":       "cloudresourcemanager/v1/",
		"RESOURCE_MANAGER_V3":    "cloudresourcemanager/v3/",
		"SERVICE_USAGE":          "serviceusage/v1/",
		"STORAGE":                "storage/storage/v1/",
		"TAGS":                   "cloudresourcemanager/v3/",
	} {
		env = append(env, "GOOGLE_"+name+"_CUSTOM_ENDPOINT="+server+"/"+url)
	}
	return env
}

func (g *googleAPIs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	code, answer := g.answer(r)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(answer)
}

func (g *googleAPIs) answer(r *http.Request) (int, any) {
	key := strings.Trim(r.URL.Path, "/")
	host, rest, _ := strings.Cut(key, "/")
	api := map[string]string{"run1": "run", "upload": "storage"}[host]
	if api = cmp.Or(api, host) + ".googleapis.com"; !g.enabled[api] {
		return http.StatusForbidden, map[string]any{"error": map[string]any{"code": http.StatusForbidden,
			"message": api + " has not been used in project acme-chat before or it is disabled.",
			"status":  "PERMISSION_DENIED", "errors": []any{map[string]any{"reason": "accessNotConfigured"}}}}
	}
	var body map[string]any
	if !strings.HasPrefix(key, "upload/") {
		data, err := io.ReadAll(r.Body)
		if err == nil && len(data) > 0 {
			err = json.Unmarshal(data, &body)
		}
		if err != nil {
			return http.StatusBadRequest, failure(http.StatusBadRequest, err.Error())
		}
	}
	switch {
	case strings.HasPrefix(key, "upload/"):
		return g.upload(r)
	case strings.HasSuffix(key, ":getIamPolicy"), strings.HasSuffix(key, ":setIamPolicy"):
		object, _, _ := strings.Cut(key, ":")
		if body["policy"] != nil {
			g.policies[object] = body["policy"]
		}
		return 200, g.policy(object)
	case host == "storage" && strings.HasSuffix(key, "/iam"):
		if r.Method == http.MethodPut {
			g.policies[key] = body
		}
		return 200, g.policy(key)
	case host == "cloudresourcemanager":
		return 200, map[string]any{"projectId": "acme-chat", "projectNumber": "123456789012", "name": "Chat",
			"lifecycleState": "ACTIVE"}
	case host == "serviceusage":
		return 200, g.services(r.Method, rest, body)
	case host == "cloudbilling":
		return 200, map[string]any{"billingAccountName": "billingAccounts/0123AB-4567CD-89EF01", "billingEnabled": true}
	case strings.HasSuffix(key, ":initializeAuth"):
		g.objects["identitytoolkit/v2/projects/acme-chat/config"] = map[string]any{"name": "projects/123456789012/config"}
		return 200, map[string]any{}
	case strings.HasPrefix(key, "compute/compute/v1/projects/") && strings.Count(key, "/") == 4:
		return 200, map[string]any{"name": "acme-chat"}
	case strings.HasSuffix(key, "/keyString"):
		return 200, map[string]any{"keyString": "a-public-key"}
	case strings.HasSuffix(key, "/certificateAuthority"):
		return 200, map[string]any{"managedServerCa": map[string]any{"caCerts": []any{
			map[string]any{"certificates": []any{"-----BEGIN CERTIFICATE-----\nb25l\n-----END CERTIFICATE-----"}}}}}
	}
	return g.object(r, host, key, body)
}

// object creates, reads, changes or deletes an object.
func (g *googleAPIs) object(r *http.Request, host, key string, body map[string]any) (int, any) {
	// An action such as roles/x:undelete, or compute's setSecurityPolicy.
	base := path.Base(key)
	switch stored := g.objects[key]; {
	case r.Method == http.MethodPost && host == "compute" && strings.HasPrefix(base, "set"):
		object := g.objects[path.Dir(key)]
		field := strings.ToLower(base[3:4]) + base[4:]
		if body["labels"] == nil {
			object[field] = body[field]
		}
		return 200, g.done(host, path.Dir(key), object)
	case r.Method == http.MethodPost && base == "addRule", r.Method == http.MethodPost && base == "patchRule":
		return 200, g.done(host, path.Dir(key), g.objects[path.Dir(key)])
	case r.Method == http.MethodPost:
		key, object := g.create(r, host, key, body)
		g.objects[key] = object
		return 200, g.done(host, key, object)
	case r.Method == http.MethodPut, r.Method == http.MethodPatch:
		if nested, ok := body[wrapped(key)].(map[string]any); ok { // such as {"topic": {…}, "updateMask": …}
			body = nested
		}
		object := maps.Clone(stored)
		if object == nil {
			object = map[string]any{}
		}
		maps.Copy(object, body)
		if object["name"] == nil {
			object["name"] = nameOf(key)
		}
		g.objects[key] = add(host, key, object)
		return 200, g.done(host, key, g.objects[key])
	case stored != nil && r.Method == http.MethodDelete:
		if r.URL.Query().Get("force") == "true" { // of a notification channel
			g.withoutChannel(nameOf(key))
		}
		if user := g.userOf(key); user != "" {
			return http.StatusBadRequest, failure(http.StatusBadRequest, "cannot delete "+key+": "+user+" is using it")
		}
		delete(g.objects, key)
		return 200, g.done(host, key, map[string]any{})
	case stored != nil:
		return 200, stored
	case r.Method == http.MethodGet && host != "firebaserules": // the release of a database is below another release
		if list := g.list(key); list != nil {
			return 200, list
		}
	}
	g.unknown = append(g.unknown, r.Method+" "+r.URL.String())
	return http.StatusNotFound, failure(http.StatusNotFound, "not found: "+key)
}

// withoutChannel removes a notification channel from all alert policies.
func (g *googleAPIs) withoutChannel(name string) {
	for key, object := range g.objects {
		if channels, ok := object["notificationChannels"].([]any); ok && strings.Contains(key, "/alertPolicies/") {
			object["notificationChannels"] = slices.DeleteFunc(channels, func(c any) bool { return c == name })
		}
	}
}

// userOf returns an object that uses another one, which Google therefore refuses to delete: an alert policy its uptime
// check or its notification channel, and a part of the load balancer the part behind it.
func (g *googleAPIs) userOf(key string) string {
	host, _, _ := strings.Cut(key, "/")
	name := "/" + path.Base(path.Dir(key)) + "/" + path.Base(key) + `"`
	switch {
	case strings.Contains(key, "/uptimeCheckConfigs/"):
		name = `\"` + path.Base(key) + `\"` // in the filter of the policy
	case host != "compute" && !strings.Contains(key, "/notificationChannels/"):
		return ""
	}
	for _, k := range slices.Sorted(maps.Keys(g.objects)) {
		if k == key || !strings.HasPrefix(k, host+"/") {
			continue
		}
		if text, err := json.Marshal(g.objects[k]); err == nil && strings.Contains(string(text), name) {
			return k
		}
	}
	return ""
}

func wrapped(key string) string { return strings.TrimSuffix(path.Base(path.Dir(key)), "s") }

// list answers a collection with the objects in it.
func (g *googleAPIs) list(key string) any {
	var found []any
	for _, k := range slices.Sorted(maps.Keys(g.objects)) {
		if path.Dir(k) == key {
			found = append(found, g.objects[k])
		}
	}
	if found == nil {
		return nil
	}
	return map[string]any{path.Base(key): found, "items": found}
}

// create returns a new object of a collection and its key.
func (g *googleAPIs) create(r *http.Request, host, collection string, body map[string]any) (string, map[string]any) {
	if body == nil {
		body = map[string]any{}
	}
	collection, _, _ = strings.Cut(collection, ":") // such as buckets:createAsync
	kind, id := path.Base(collection), ""
	for name, values := range r.URL.Query() {
		if strings.HasSuffix(name, "Id") || strings.HasSuffix(name, "_id") {
			id = values[0]
		}
	}
	project := "acme-chat"
	switch kind {
	case "serviceAccounts":
		id, _ = body["accountId"].(string)
		id += "@" + project + ".iam.gserviceaccount.com"
		body, _ = body["serviceAccount"].(map[string]any)
		maps.Copy(body, map[string]any{"email": id, "uniqueId": "1" + fmt.Sprint(len(id)), "projectId": project})
	case "roles":
		id, _ = body["roleId"].(string)
		body, _ = body["role"].(map[string]any)
	case "releases":
		name, _ := body["name"].(string)
		_, id, _ = strings.Cut(name, "/releases/")
	}
	if name, ok := body["name"].(string); id == "" && ok {
		id = path.Base(name)
	}
	if id == "" {
		g.made++
		id = fmt.Sprintf("made-%04d", g.made)
	}
	key := collection + "/" + id
	if host != "compute" && host != "storage" && kind != "metrics" && kind != "sinks" {
		body["name"] = nameOf(key)
	}
	return key, add(host, key, body)
}

// nameOf returns the name of an object in its API.
func nameOf(key string) string {
	for _, prefix := range []string{"/v1/", "/v2/", "/v3/"} {
		if _, name, ok := strings.Cut(key, prefix); ok {
			return name
		}
	}
	return key
}

// done wraps the answer to a change as the API does: some answer with an operation.
func (g *googleAPIs) done(host, key string, object map[string]any) any {
	switch host {
	case "compute":
		return map[string]any{"kind": "compute#operation", "name": "operation-1", "status": "DONE",
			"targetLink": "https://www.googleapis.com/" + key, "progress": 100}
	case "logging":
		if strings.Contains(key, "/buckets/") {
			return map[string]any{"name": "operations/operation-1", "done": true, "response": object}
		}
	case "apikeys", "artifactregistry", "run", "cloudfunctions", "networkconnectivity", "redis", "firestore":
		if !strings.Contains(key, "/backupSchedules/") {
			return map[string]any{"name": "operations/operation-1", "done": true, "response": object,
				"metadata": map[string]any{"index": object["name"], "field": object["name"]}}
		}
	}
	return object
}

func (g *googleAPIs) policy(object string) any {
	if p := g.policies[object]; p != nil {
		return p
	}
	return map[string]any{"version": 1, "etag": "BwY="}
}

// services enables and lists APIs.
func (g *googleAPIs) services(method, rest string, body map[string]any) any {
	if method == http.MethodPost {
		ids, _ := body["serviceIds"].([]any)
		if name, ok := strings.CutSuffix(rest, ":enable"); ok {
			ids = []any{path.Base(name)}
		}
		for _, id := range ids {
			g.enabled[fmt.Sprint(id)] = true
		}
		return map[string]any{"name": "operations/operation-1", "done": true, "response": map[string]any{}}
	}
	list := []any{}
	for id := range g.enabled {
		name := "projects/123456789012/services/" + id
		if rest == "v1/"+name || strings.HasSuffix(rest, "/services/"+id) {
			return map[string]any{"name": name, "state": "ENABLED"}
		}
		list = append(list, map[string]any{"name": name, "state": "ENABLED", "config": map[string]any{"name": id}})
	}
	return map[string]any{"services": list}
}

// upload stores an object of Cloud Storage.
func (g *googleAPIs) upload(r *http.Request) (int, any) {
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return http.StatusBadRequest, failure(http.StatusBadRequest, err.Error())
	}
	parts := multipart.NewReader(r.Body, params["boundary"])
	object := map[string]any{}
	for i := range 2 {
		part, err := parts.NextPart()
		if err == nil && i == 0 {
			err = json.NewDecoder(part).Decode(&object)
		} else if err == nil {
			hash := md5.New()
			_, err = io.Copy(hash, part)
			object["md5Hash"] = base64.StdEncoding.EncodeToString(hash.Sum(nil))
		}
		if err != nil {
			return http.StatusBadRequest, failure(http.StatusBadRequest, err.Error())
		}
	}
	name, _ := object["name"].(string)
	if name == "" {
		name = r.URL.Query().Get("name")
		object["name"] = name
	}
	maps.Copy(object, map[string]any{"bucket": "acme-chat-chat-source", "generation": "1", "storageClass": "STANDARD",
		"contentType": "application/zip", "crc32c": "AAAAAA=="})
	g.objects["storage/storage/v1/b/acme-chat-chat-source/o/"+name] = object
	return 200, object
}

func failure(code int, message string) any {
	return map[string]any{"error": map[string]any{"code": code, "message": message, "status": http.StatusText(code)}}
}

// add adds what Google adds to an object by itself. The defaults are those of Google's reference pages as of August
// 2026, but for a backend service without a localityLbPolicy: the pages have a default, and yet the provider's own
// tests against Google see none (testAccComputeBackendService_withBackendAndPreference).
func add(host, key string, object map[string]any) map[string]any {
	parts := strings.Split(key, "/")
	kind, id := parts[len(parts)-2], parts[len(parts)-1]
	for path, value := range additions[host+"/"+kind] {
		put(object, strings.Split(path, "."), value)
	}
	name, _ := object["name"].(string)
	switch host + "/" + kind {
	case "run/services":
		object["urls"] = []any{"https://" + id + "-123456789012.europe-west1.run.app"}
		object["uri"] = "https://" + id + "-a1b2c3d4e5-ew.a.run.app"
		object["latestReadyRevision"] = name + "/revisions/" + id + "-00001-abc"
		object["latestCreatedRevision"] = object["latestReadyRevision"]
		object["trafficStatuses"] = []any{map[string]any{"percent": 100, "type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"}}
	case "cloudfunctions/functions":
		put(object, []string{"serviceConfig", "uri"}, "https://"+id+"-a1b2c3d4e5-ew.a.run.app")
		put(object, []string{"serviceConfig", "service"}, strings.Replace(name, "functions/", "services/", 1))
	case "redis/clusters":
		object["discoveryEndpoints"] = []any{map[string]any{"address": "10.8.1.2", "port": 6379,
			"pscConfig": map[string]any{"network": "projects/acme-chat/global/networks/chat"}}}
	case "logging/sinks":
		object["writerIdentity"] = "serviceAccount:service-123456789012@gcp-sa-logging.iam.gserviceaccount.com"
	}
	if host == "storage" {
		object["id"] = id
		if location, ok := object["location"].(string); ok {
			object["location"] = strings.ToUpper(location)
		}
	}
	if host == "compute" {
		object["selfLink"] = "https://www.googleapis.com/" + strings.TrimPrefix(key, "compute/")
		object["id"] = "12345"
	}
	return object
}

// put sets a value at a path below an object, in each element where the path leads through a list, unless there is one.
func put(object map[string]any, path []string, value any) {
	name := path[0]
	if len(path) == 1 {
		if object[name] == nil {
			object[name] = value
		}
		return
	}
	switch below := object[name].(type) {
	case map[string]any:
		put(below, path[1:], value)
	case []any:
		for _, b := range below {
			if b, ok := b.(map[string]any); ok {
				put(b, path[1:], value)
			}
		}
	}
}

// additions are the defaults of Google's answers, by host and collection, and then by path.
var additions = map[string]map[string]any{
	"artifactregistry/repositories": {"mode": "STANDARD_REPOSITORY", "sizeBytes": "0", "registryUri": "r",
		"vulnerabilityScanningConfig": map[string]any{"enablementState": "SCANNING_DISABLED"}},
	"billingbudgets/budgets": {"etag": "e", "amount.specifiedAmount.currencyCode": "USD",
		"budgetFilter.creditTypesTreatment": "INCLUDE_ALL_CREDITS", "budgetFilter.calendarPeriod": "MONTH",
		"thresholdRules.spendBasis": "CURRENT_SPEND"},
	"cloudfunctions/functions": {"state": "ACTIVE", "environment": "GEN_2", "satisfiesPzs": false,
		"buildConfig.dockerRegistry": "ARTIFACT_REGISTRY", "buildConfig.build": "projects/123456789012/builds/b",
		"buildConfig.source.storageSource.generation":         "1",
		"serviceConfig.environmentVariables.LOG_EXECUTION_ID": "true", "serviceConfig.revision": "r-00001-abc"},
	"cloudscheduler/jobs": {"state": "ENABLED", "userUpdateTime": "2026-01-01T00:00:00Z", "attemptDeadline": "180s",
		"httpTarget.headers": map[string]any{"User-Agent": "Google-Cloud-Scheduler"}},
	"compute/addresses": {"status": "RESERVED", "address": "203.0.113.10", "addressType": "EXTERNAL",
		"networkTier": "PREMIUM", "labelFingerprint": "f", "creationTimestamp": "2026-01-01T00:00:00Z"},
	"compute/backendServices": {"protocol": "HTTP", "portName": "http", "timeoutSec": 30, "sessionAffinity": "NONE",
		"affinityCookieTtlSec": 0, "enableCDN": false, "fingerprint": "f", "generatedId": "1",
		"connectionDraining":     map[string]any{"drainingTimeoutSec": 0},
		"backends.balancingMode": "UTILIZATION", "backends.capacityScaler": 1, "logConfig": map[string]any{"enable": false},
		"cdnPolicy.signedUrlCacheMaxAgeSec": "0", "cdnPolicy.requestCoalescing": true, "cdnPolicy.negativeCaching": false},
	"compute/forwardingRules": {"IPProtocol": "TCP", "networkTier": "PREMIUM", "labelFingerprint": "f",
		"fingerprint": "f"},
	"compute/networkEndpointGroups": {"size": 0},
	"compute/networks": {"routingConfig": map[string]any{"routingMode": "REGIONAL"},
		"networkFirewallPolicyEnforcementOrder": "AFTER_CLASSIC_FIREWALL"},
	"compute/securityPolicies": {"type": "CLOUD_ARMOR", "fingerprint": "f", "labelFingerprint": "f",
		"rules.preview": false, "rules.kind": "compute#securityPolicyRule"},
	"compute/sslCertificates": {"type": "MANAGED", "managed.status": "PROVISIONING", "certificate": "c",
		"managed.domainStatus": map[string]any{"chat.example.org": "PROVISIONING"}},
	"compute/sslPolicies": {"fingerprint": "f", "enabledFeatures": []any{"TLS_AES_128_GCM_SHA256"}},
	"compute/subnetworks": {"purpose": "PRIVATE", "stackType": "IPV4_ONLY", "gatewayAddress": "10.8.0.1",
		"privateIpGoogleAccess": false, "privateIpv6GoogleAccess": "DISABLE_GOOGLE_ACCESS", "fingerprint": "f"},
	"compute/targetHttpProxies": {"fingerprint": "f", "proxyBind": false},
	"compute/targetHttpsProxies": {"fingerprint": "f", "quicOverride": "NONE", "tlsEarlyData": "DISABLED",
		"proxyBind": false},
	"compute/urlMaps": {"fingerprint": "f", "pathMatchers.routeRules.matchRules.ignoreCase": false,
		"defaultUrlRedirect.redirectResponseCode": "MOVED_PERMANENTLY_DEFAULT"},
	"firestore/databases": {"uid": "u", "etag": "e", "databaseEdition": "STANDARD", "versionRetentionPeriod": "604800s",
		"earliestVersionTime": "2026-01-01T00:00:00Z", "keyPrefix": "k", "freeTier": true},
	"firestore/fields": {"ttlConfig.state": "ACTIVE", "indexConfig.indexes.apiScope": "ANY_API",
		"indexConfig.indexes.state": "READY"},
	"firestore/indexes": {"state": "READY", "apiScope": "ANY_API", "density": "SPARSE_ALL"},
	"iam/roles":         {"etag": "e", "stage": "GA"},
	"logging/buckets":   {"lifecycleState": "ACTIVE", "createTime": "2026-01-01T00:00:00Z"},
	"logging/metrics": {"metricDescriptor.name": "n", "metricDescriptor.type": "t",
		"version": "V2"},
	"monitoring/alertPolicies":        {"enabled": true, "conditions.name": "c"},
	"monitoring/notificationChannels": {"enabled": true},
	"monitoring/services":             {"custom": map[string]any{}, "telemetry": map[string]any{}},
	"monitoring/uptimeCheckConfigs": {"checkerType": "STATIC_IP_CHECKERS",
		"httpCheck.requestMethod": "GET"},
	"networkconnectivity/serviceConnectionPolicies": {"infrastructure": "PSC", "etag": "e"},
	"pubsub/subscriptions": {"state": "ACTIVE", "expirationPolicy": map[string]any{},
		"pushConfig.attributes": map[string]any{"x-goog-version": "v1"}},
	"pubsub/topics": {"state": "ACTIVE"},
	"redis/clusters": {"state": "ACTIVE", "sizeGb": 2, "preciseSizeGb": 1.4, "uid": "u",
		"nodeType":                      "REDIS_SHARED_CORE_NANO",
		"crossClusterReplicationConfig": map[string]any{"clusterRole": "NONE"},
		"encryptionInfo":                map[string]any{"encryptionType": "GOOGLE_DEFAULT_ENCRYPTION"},
		"automatedBackupConfig":         map[string]any{"automatedBackupMode": "DISABLED"}},
	"run/jobs": {"launchStage": "GA", "generation": "1", "observedGeneration": "1", "template.taskCount": 1,
		"template.template.executionEnvironment": "EXECUTION_ENVIRONMENT_GEN2",
		"terminalCondition":                      map[string]any{"type": "Ready", "state": "CONDITION_SUCCEEDED"}},
	"run/services": {"launchStage": "GA", "generation": "1", "observedGeneration": "1", "scaling": map[string]any{},
		"template.containers.startupProbe.httpGet.port":  8080,
		"template.containers.livenessProbe.httpGet.port": 8080,
		"terminalCondition":                              map[string]any{"type": "Ready", "state": "CONDITION_SUCCEEDED"}},
	"storage/b": {"storageClass": "STANDARD", "projectNumber": "123456789012", "locationType": "region", "rpo": "DEFAULT",
		"softDeletePolicy": map[string]any{"retentionDurationSeconds": "604800"}},
}
