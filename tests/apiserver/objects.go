package main

import (
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// The objects of a made cluster, with the metadata that controllers, Helm and people leave on them.

var (
	coreV1       = metav1.TypeMeta{APIVersion: "v1"}
	discoveryV1  = metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1"}
	networkingV1 = metav1.TypeMeta{APIVersion: "networking.k8s.io/v1"}
)

func kind(of metav1.TypeMeta, kind string) metav1.TypeMeta {
	of.Kind = kind
	return of
}

// meta has a creation time of its own for each object.
func (m *maker) meta(namespace, name string, manager, fields string) metav1.ObjectMeta {
	born := metav1.NewTime(m.born.Add(time.Duration(m.random.Intn(200*24*3600)) * time.Second))
	return metav1.ObjectMeta{
		Namespace:         namespace,
		Name:              name,
		UID:               m.uid(),
		CreationTimestamp: born,
		ManagedFields: []metav1.ManagedFieldsEntry{{
			Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Time: &born,
			FieldsType: "FieldsV1", FieldsV1: &metav1.FieldsV1{Raw: []byte(fields)},
		}},
	}
}

func (m *maker) namespaces() {
	for _, name := range m.spaces {
		space := &core.Namespace{
			ObjectMeta: m.meta("", name, "kubectl-create", `{"f:metadata":{"f:labels":{".":{},"f:kubernetes.io/metadata.name":{}}}}`),
			Spec:       core.NamespaceSpec{Finalizers: []core.FinalizerName{core.FinalizerKubernetes}},
			Status:     core.NamespaceStatus{Phase: core.NamespaceActive},
		}
		space.Labels = map[string]string{"kubernetes.io/metadata.name": name, "team": name, "pod-security.kubernetes.io/enforce": "baseline"}
		m.put("namespaces/"+name, kind(coreV1, "Namespace"), space)
	}
}

func (m *maker) nodes() {
	for n := range m.Nodes {
		node := &core.Node{ObjectMeta: m.meta("", nodeName(n), "kubelet", `{"f:metadata":{"f:annotations":{"f:volumes.kubernetes.io/controller-managed-attach-detach":{}},"f:labels":{"f:kubernetes.io/arch":{},"f:kubernetes.io/hostname":{},"f:kubernetes.io/os":{},"f:topology.kubernetes.io/zone":{}}},"f:status":{"f:allocatable":{},"f:capacity":{},"f:conditions":{}}}`)}
		node.Labels = map[string]string{
			"kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", "kubernetes.io/hostname": node.Name,
			"node.kubernetes.io/instance-type": "m6i.4xlarge", "topology.kubernetes.io/region": "eu-central-1",
			"topology.kubernetes.io/zone": zoneName(n),
		}
		node.Spec = core.NodeSpec{
			PodCIDR: fmt.Sprintf("10.%d.%d.0/26", 128+n>>8, n&255), ProviderID: fmt.Sprintf("aws:///%s/i-%012x", zoneName(n), m.random.Uint64()>>16),
		}
		resources := core.ResourceList{
			core.ResourceCPU: resource.MustParse("16"), core.ResourceMemory: resource.MustParse("64Gi"), core.ResourcePods: resource.MustParse("110"),
		}
		node.Status = core.NodeStatus{
			Capacity: resources, Allocatable: resources,
			Addresses: []core.NodeAddress{{Type: core.NodeInternalIP, Address: fmt.Sprintf("10.0.%d.%d", n>>8, n&255)}, {Type: core.NodeHostName, Address: node.Name}},
			Conditions: []core.NodeCondition{{Type: core.NodeReady, Status: core.ConditionTrue, Reason: "KubeletReady",
				Message: "kubelet is posting ready status", LastHeartbeatTime: m.born, LastTransitionTime: m.born}},
			NodeInfo: core.NodeSystemInfo{KernelVersion: "6.8.0", OSImage: "Linux", ContainerRuntimeVersion: "containerd://2.1.4", KubeletVersion: "v1.34.4", OperatingSystem: "linux", Architecture: "amd64"},
		}
		m.put("minions/"+node.Name, kind(coreV1, "Node"), node)
	}
}

const (
	serviceFields = `{"f:metadata":{"f:annotations":{".":{},"f:meta.helm.sh/release-name":{},"f:meta.helm.sh/release-namespace":{},"f:prometheus.io/port":{},"f:prometheus.io/scrape":{}},"f:labels":{".":{},"f:app.kubernetes.io/instance":{},"f:app.kubernetes.io/managed-by":{},"f:app.kubernetes.io/name":{},"f:helm.sh/chart":{}}},"f:spec":{"f:internalTrafficPolicy":{},"f:ports":{".":{},"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{},"f:port":{},"f:protocol":{},"f:targetPort":{}}},"f:selector":{},"f:sessionAffinity":{},"f:type":{}}}`
	sliceFields   = `{"f:addressType":{},"f:endpoints":{},"f:metadata":{"f:annotations":{".":{},"f:endpoints.kubernetes.io/last-change-trigger-time":{}},"f:generateName":{},"f:labels":{".":{},"f:app.kubernetes.io/name":{},"f:endpointslice.kubernetes.io/managed-by":{},"f:kubernetes.io/service-name":{}},"f:ownerReferences":{".":{},"k:{\"uid\":\"00000000-0000-4000-8000-000000000000\"}":{}}},"f:ports":{}}`
	podFields     = `{"f:metadata":{"f:generateName":{},"f:labels":{".":{},"f:app.kubernetes.io/name":{},"f:pod-template-hash":{}},"f:ownerReferences":{}},"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:env":{},"f:image":{},"f:livenessProbe":{},"f:name":{},"f:ports":{},"f:readinessProbe":{},"f:resources":{}}},"f:dnsPolicy":{},"f:enableServiceLinks":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:serviceAccount":{},"f:serviceAccountName":{},"f:terminationGracePeriodSeconds":{}}}`
)

func (m *maker) services() {
	for _, one := range m.all {
		port, number := "http", int32(80)
		if one.headless {
			port, number = "peer", 7000
		}
		object := &core.Service{ObjectMeta: m.meta(one.namespace, one.name, "helm", serviceFields)}
		object.UID = one.uid
		object.Labels = map[string]string{
			"app.kubernetes.io/name": one.name, "app.kubernetes.io/instance": one.name, "app.kubernetes.io/managed-by": "Helm",
			"helm.sh/chart": one.name + "-1.14.2",
		}
		object.Annotations = map[string]string{
			"meta.helm.sh/release-name": one.name, "meta.helm.sh/release-namespace": one.namespace,
			"prometheus.io/scrape": "true", "prometheus.io/port": "9102",
		}
		single, cluster := core.IPFamilyPolicySingleStack, core.ServiceInternalTrafficPolicyCluster
		object.Spec = core.ServiceSpec{
			ClusterIP: one.address, ClusterIPs: []string{one.address}, Type: core.ServiceTypeClusterIP,
			IPFamilies: []core.IPFamily{core.IPv4Protocol}, IPFamilyPolicy: &single, InternalTrafficPolicy: &cluster,
			SessionAffinity: core.ServiceAffinityNone,
			Selector:        map[string]string{"app.kubernetes.io/name": one.name, "app.kubernetes.io/instance": one.name},
			Ports: []core.ServicePort{
				{Name: port, Port: number, Protocol: core.ProtocolTCP, TargetPort: intstr.FromString(port)},
				{Name: "metrics", Port: 9102, Protocol: core.ProtocolTCP, TargetPort: intstr.FromInt32(9102)},
			},
		}
		if one.headless {
			object.Spec.ClusterIP, object.Spec.ClusterIPs = core.ClusterIPNone, []string{core.ClusterIPNone}
		} else {
			m.address(one)
			m.record(one, one.address)
		}
		m.put("services/specs/"+one.namespace+"/"+one.name, kind(coreV1, "Service"), object)
		// Few at a time, so that also a Service with three endpoints has them in order.
		for from, number := 0, 0; from < one.endpoints; from, number = from+100, number+1 {
			m.slice(one, port, from, min(from+100, one.endpoints), number)
		}
	}
}

// address is how the API server remembers that an address is taken.
func (m *maker) address(one service) {
	object := &networking.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Name: one.address, UID: m.uid(), CreationTimestamp: m.born, Labels: map[string]string{
			networking.LabelIPAddressFamily: "IPv4", networking.LabelManagedBy: "ipallocator.k8s.io",
		}},
		Spec: networking.IPAddressSpec{ParentRef: &networking.ParentReference{Resource: "services", Namespace: one.namespace, Name: one.name}},
	}
	m.put("ipaddresses/"+one.address, kind(networkingV1, "IPAddress"), object)
}

func (m *maker) slice(one service, port string, from, to, number int) {
	name := fmt.Sprintf("%s-%s", one.name, letters(uint32(one.first+from)*2654435761+uint32(number), 5))
	object := &discovery.EndpointSlice{ObjectMeta: m.meta(one.namespace, name, "kube-controller-manager", sliceFields), AddressType: discovery.AddressTypeIPv4}
	object.GenerateName = one.name + "-"
	object.Labels = map[string]string{
		"app.kubernetes.io/name": one.name, "app.kubernetes.io/instance": one.name, "app.kubernetes.io/managed-by": "Helm",
		discovery.LabelManagedBy: "endpointslice-controller.k8s.io", discovery.LabelServiceName: one.name,
	}
	if one.headless {
		object.Labels[core.IsHeadlessService] = ""
	}
	object.Annotations = map[string]string{"endpoints.kubernetes.io/last-change-trigger-time": m.born.Format(time.RFC3339)}
	object.OwnerReferences = []metav1.OwnerReference{owner("v1", "Service", one.name, one.uid)}
	object.Ports = []discovery.EndpointPort{
		{Name: ptr.To(port), Port: ptr.To(int32(8080)), Protocol: ptr.To(core.ProtocolTCP)},
		{Name: ptr.To("metrics"), Port: ptr.To(int32(9102)), Protocol: ptr.To(core.ProtocolTCP)},
	}
	for n := from; n < to; n++ {
		pod := one.first + n
		node, zone := m.nodeOf(pod)
		// One in a hundred is starting.
		ready := m.random.Intn(100) > 0
		endpoint := discovery.Endpoint{
			Addresses:  []string{podAddress(pod)},
			Conditions: discovery.EndpointConditions{Ready: ptr.To(ready), Serving: ptr.To(ready), Terminating: ptr.To(false)},
			NodeName:   &node,
			Zone:       &zone,
			TargetRef:  &core.ObjectReference{Kind: "Pod", Namespace: one.namespace, Name: m.podName(pod), UID: m.uid()},
		}
		if one.headless {
			endpoint.Hostname = ptr.To(fmt.Sprintf("%s-%d", one.name, n))
			if ready {
				m.record(one, podAddress(pod))
			}
		}
		object.Endpoints = append(object.Endpoints, endpoint)
	}
	m.put("endpointslices/"+one.namespace+"/"+name, kind(discoveryV1, "EndpointSlice"), object)
}

func owner(version, kind, name string, uid types.UID) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: version, Kind: kind, Name: name, UID: uid, Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true)}
}

func (m *maker) pods() {
	for pod := range m.Pods {
		one := m.all[m.owners[pod]]
		name := m.podName(pod)
		node, _ := m.nodeOf(pod)
		object := &core.Pod{ObjectMeta: m.meta(one.namespace, name, "kube-controller-manager", podFields)}
		object.Labels = map[string]string{"app.kubernetes.io/name": one.name, "app.kubernetes.io/instance": one.name, "pod-template-hash": letters(uint32(pod), 9)}
		object.Annotations = map[string]string{"prometheus.io/scrape": "true", "checksum/config": fmt.Sprintf("%032x", m.random.Uint64())}
		object.OwnerReferences = []metav1.OwnerReference{owner("apps/v1", "ReplicaSet", one.name, one.uid)}
		probe := &core.Probe{ProbeHandler: core.ProbeHandler{HTTPGet: &core.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080), Scheme: core.URISchemeHTTP}},
			PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3}
		amount := core.ResourceList{core.ResourceCPU: resource.MustParse("500m"), core.ResourceMemory: resource.MustParse("512Mi")}
		image := "registry.example.com/" + one.name + ":1.14.2"
		object.Spec = core.PodSpec{
			NodeName: node, ServiceAccountName: one.name, DeprecatedServiceAccount: one.name, DNSPolicy: core.DNSClusterFirst,
			RestartPolicy: core.RestartPolicyAlways, SchedulerName: "default-scheduler", TerminationGracePeriodSeconds: ptr.To(int64(30)),
			SecurityContext: &core.PodSecurityContext{RunAsNonRoot: ptr.To(true)}, EnableServiceLinks: ptr.To(true), Priority: ptr.To(int32(0)),
			Tolerations: []core.Toleration{
				{Key: "node.kubernetes.io/not-ready", Operator: core.TolerationOpExists, Effect: core.TaintEffectNoExecute, TolerationSeconds: ptr.To(int64(300))},
				{Key: "node.kubernetes.io/unreachable", Operator: core.TolerationOpExists, Effect: core.TaintEffectNoExecute, TolerationSeconds: ptr.To(int64(300))},
			},
			Containers: []core.Container{{
				Name: "app", Image: image, ImagePullPolicy: core.PullIfNotPresent,
				Ports:     []core.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: core.ProtocolTCP}},
				Env:       []core.EnvVar{{Name: "STAGE", Value: one.namespace}, {Name: "LOG_LEVEL", Value: "info"}, {Name: "DATABASE", Value: "postgres." + one.namespace}},
				Resources: core.ResourceRequirements{Requests: amount, Limits: amount}, LivenessProbe: probe, ReadinessProbe: probe,
				TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: core.TerminationMessageReadFile,
			}},
		}
		address := podAddress(pod)
		object.Status = core.PodStatus{
			Phase: core.PodRunning, PodIP: address, PodIPs: []core.PodIP{{IP: address}}, StartTime: &m.born, QOSClass: core.PodQOSGuaranteed,
			Conditions: []core.PodCondition{
				{Type: core.PodScheduled, Status: core.ConditionTrue, LastTransitionTime: m.born}, {Type: core.PodInitialized, Status: core.ConditionTrue, LastTransitionTime: m.born},
				{Type: core.ContainersReady, Status: core.ConditionTrue, LastTransitionTime: m.born}, {Type: core.PodReady, Status: core.ConditionTrue, LastTransitionTime: m.born},
			},
			ContainerStatuses: []core.ContainerStatus{{Name: "app", Ready: true, Started: ptr.To(true), Image: image, ImageID: image + "@sha256:" + fmt.Sprintf("%064x", pod),
				ContainerID: fmt.Sprintf("containerd://%064x", m.random.Uint64()), State: core.ContainerState{Running: &core.ContainerStateRunning{StartedAt: m.born}}}},
		}
		m.put("pods/"+one.namespace+"/"+name, kind(coreV1, "Pod"), object)
	}
}
