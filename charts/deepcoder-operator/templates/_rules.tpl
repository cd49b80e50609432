{{/*
What the operator may do in the namespaces that it looks after, and why: docs/decisions/0001-operator-permissions.md.
A test holds the two together.
*/}}
{{- define "deepcoder.namespacedRules" -}}
- apiGroups: [deepcoder.dev]
  resources: [trainingruns, evaluations]
  verbs: [get, list, watch]
- apiGroups: [deepcoder.dev]
  resources: [trainingruns/status, evaluations/status]
  verbs: [update]
- apiGroups: [deepcoder.dev]
  resources: [trainingruns/finalizers, evaluations/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps, serviceaccounts]
  verbs: [get, list, watch, create]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}

{{/* What it reads of the cluster itself, whichever namespaces it looks after. */}}
{{- define "deepcoder.clusterRules" -}}
- apiGroups: [node.k8s.io]
  resources: [runtimeclasses]
  verbs: [get]
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames: [trainingruns.deepcoder.dev, evaluations.deepcoder.dev]
  verbs: [get]
{{- end }}
