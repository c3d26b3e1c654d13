// Package kubernetes checks that the manifests in this folder are what Kubernetes takes: every
// field exists, and has the right type.
package kubernetes

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// kinds decode a manifest, by its version and kind. They return the template of its pods, or nil
// for a kind without pods.
var kinds = map[string]func(document []byte) (*corev1.PodTemplateSpec, error){
	"apps/v1 Deployment": func(document []byte) (*corev1.PodTemplateSpec, error) {
		d, err := decode[appsv1.Deployment](document)
		if err == nil {
			err = selects(d.Spec.Selector, d.Spec.Template.Labels)
		}
		return &d.Spec.Template, err
	},
	"batch/v1 Job": func(document []byte) (*corev1.PodTemplateSpec, error) {
		d, err := decode[batchv1.Job](document)
		return &d.Spec.Template, err
	},
	"policy/v1 PodDisruptionBudget": func(document []byte) (*corev1.PodTemplateSpec, error) {
		_, err := decode[policyv1.PodDisruptionBudget](document)
		return nil, err
	},
}

func decode[T any](document []byte) (T, error) {
	var into T
	err := yaml.UnmarshalStrict(document, &into)
	return into, err
}

// selects returns an error if a selector doesn't select pods with these labels.
func selects(selector *metav1.LabelSelector, labels map[string]string) error {
	chosen, err := metav1.LabelSelectorAsMap(selector)
	if err != nil {
		return err
	}
	for label, value := range chosen {
		if labels[label] != value {
			return fmt.Errorf("the selector wants %s=%s, which the pods don't have", label, value)
		}
	}
	return nil
}

// check returns an error if a document isn't a manifest of a known kind.
func check(document []byte) error {
	var head metav1.TypeMeta
	if err := yaml.Unmarshal(document, &head); err != nil {
		return err
	}
	kind, ok := kinds[head.APIVersion+" "+head.Kind]
	if !ok {
		return fmt.Errorf("the kind %s %s is not known here", head.APIVersion, head.Kind)
	}
	pods, err := kind(document)
	if err != nil || pods == nil {
		return err
	}
	for _, c := range append(pods.Spec.InitContainers, pods.Spec.Containers...) {
		if s := c.SecurityContext; s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
			return fmt.Errorf("container %s may write to its image", c.Name)
		}
		for _, v := range c.Env {
			if v.Name == "SQLLOCK_DATABASE_URL" && (v.ValueFrom == nil || v.ValueFrom.SecretKeyRef == nil) {
				return fmt.Errorf("container %s has its URL from no secret", c.Name)
			}
		}
	}
	return nil
}

func TestManifests(t *testing.T) {
	paths, err := filepath.Glob("*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i, document := range bytes.Split(text, []byte("\n---\n")) {
			if err := check(document); err != nil {
				t.Errorf("%s, document %d: %v", path, i+1, err)
			}
		}
	}
}

// TestFinds shows that the check above can fail.
func TestFinds(t *testing.T) {
	text, err := os.ReadFile("scheduler.yaml")
	if err != nil {
		t.Fatal(err)
	}
	good, _, _ := strings.Cut(string(text), "\n---\n")
	for right, wrong := range map[string]string{
		"readinessProbe:":               "readynessProbe:",
		"replicas: 2":                   "replicas: two",
		"periodSeconds: 15":             "periodSeconds: 15\n            periodSeconds: 16",
		"kind: Deployment":              "kind: Deploy",
		"labels: {app: app-scheduler}":  "labels: {app: other}",
		"readOnlyRootFilesystem: true":  "readOnlyRootFilesystem: false",
		"capabilities: {drop: [ALL]}":   "capabilities: [ALL]",
		"exec:\n":                       "exec: sh\n",
		"{secretKeyRef: {name: app-dat": "{configMapKeyRef: {name: app-dat",
	} {
		if !strings.Contains(good, right) {
			t.Fatalf("the manifest has no %q", right)
		}
		if err := check([]byte(strings.Replace(good, right, wrong, 1))); err == nil {
			t.Errorf("%q instead of %q is not found", wrong, right)
		}
	}
}
