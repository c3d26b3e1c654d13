package documented

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var (
	makeTarget = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)
	makeCall   = regexp.MustCompile(`\bmake (?:-s )?([a-z][a-z-]*)`)
	pathNamed  = regexp.MustCompile(`(?:^|[\s"'=(])(\./?[\w./-]*\w/?[\w./-]*)`)
	pinned     = regexp.MustCompile(`^[\w.-]+/[\w./-]+@v\d+$`)
)

// workflow is what this test reads of a workflow of GitHub Actions.
type workflow struct {
	Permissions map[string]string
	Jobs        map[string]struct {
		Permissions map[string]string
		Timeout     int `yaml:"timeout-minutes"`
		Steps       []struct {
			Uses, Run string
			With      map[string]any
		}
	}
}

// TestWorkflowsNameWhatExists checks that the targets of make and the folders that the workflows
// name exist, and that each job has a time limit, no rights by default, and pinned actions.
func TestWorkflowsNameWhatExists(t *testing.T) {
	targets := makeTargets(t)
	paths, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*.yml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	calls := 0
	for _, path := range paths {
		var w workflow
		decodeYAML(t, path, &w)
		if w.Permissions == nil || len(w.Permissions) > 0 {
			t.Errorf("%s: want `permissions: {}` at the top, and rights in each job", path)
		}
		for name, job := range w.Jobs {
			if job.Permissions == nil || job.Timeout == 0 {
				t.Errorf("%s: job %s needs permissions and timeout-minutes", path, name)
			}
			for _, step := range job.Steps {
				if step.Uses != "" && !pinned.MatchString(step.Uses) {
					t.Errorf("%s: job %s uses %s: want the major version, such as @v6", path, name, step.Uses)
				}
				if strings.HasPrefix(step.Uses, "actions/checkout@") && step.With["persist-credentials"] != false {
					t.Errorf("%s: job %s keeps the token in the checkout: want persist-credentials: false", path, name)
				}
				calls += checkRun(t, path, step.Run, targets)
			}
		}
	}
	if calls < 10 {
		t.Errorf("found %d calls of make in the workflows; there are more, so the search is broken", calls)
	}
}

// checkRun checks the targets and paths that a shell script names, and returns how many there are.
func checkRun(t *testing.T, path, script string, targets []string) (calls int) {
	t.Helper()
	for _, call := range makeCall.FindAllStringSubmatch(script, -1) {
		calls++
		if !slices.Contains(targets, call[1]) {
			t.Errorf("%s calls make %s, which doesn't exist", path, call[1])
		}
	}
	for _, named := range pathNamed.FindAllStringSubmatch(script, -1) {
		if _, err := os.Stat(filepath.Join(root, strings.TrimSuffix(named[1], "..."))); err != nil {
			t.Errorf("%s names %s: %v", path, named[1], err)
		}
	}
	return calls
}

// TestPagesNameTargetsThatExist checks the targets of make that the pages, the templates and the CI
// script name.
func TestPagesNameTargetsThatExist(t *testing.T) {
	targets := makeTargets(t)
	quoted := regexp.MustCompile("`make ([a-z][a-z-]*)|^make ([a-z][a-z-]*)(?:$| +#| [A-Z])")
	calls := 0
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (e.Name() == "build" || e.Name() == ".git" || e.Name() == "testdata"):
			return fs.SkipDir
		case !strings.HasSuffix(path, ".md") && !strings.HasSuffix(path, filepath.Join(".ci", "run")):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			for _, call := range quoted.FindAllStringSubmatch(strings.TrimSpace(line), -1) {
				calls++
				if target := call[1] + call[2]; !slices.Contains(targets, target) {
					t.Errorf("%s names make %s, which doesn't exist", path, target)
				}
			}
		}
		return nil
	})
	if err != nil || calls < 30 {
		t.Errorf("found %d targets on the pages; there are more, so the search is broken: %v", calls, err)
	}
}

// TestDependabotKnowsEveryModule checks that the requirements of each module are kept up to date.
func TestDependabotKnowsEveryModule(t *testing.T) {
	var config struct {
		Updates []struct {
			Ecosystem   string `yaml:"package-ecosystem"`
			Directory   string
			Directories []string
		}
	}
	decodeYAML(t, filepath.Join(root, ".github", "dependabot.yml"), &config)
	watched := make(map[string][]string)
	for _, update := range config.Updates {
		folders := update.Directories
		if update.Directory != "" {
			folders = append(folders, update.Directory)
		}
		watched[update.Ecosystem] = append(watched[update.Ecosystem], folders...)
	}
	var modules []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && (e.Name() == "build" || e.Name() == "testdata") {
			return fs.SkipDir
		}
		if err == nil && e.Name() == "go.mod" {
			folder, relErr := filepath.Rel(root, filepath.Dir(path))
			modules, err = append(modules, "/"+strings.TrimPrefix(filepath.ToSlash(folder), ".")), relErr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(watched["gomod"])
	slices.Sort(modules)
	if !slices.Equal(watched["gomod"], modules) {
		t.Errorf("dependabot.yml has the modules %v; this tree has %v", watched["gomod"], modules)
	}
	if len(watched["github-actions"]) == 0 {
		t.Error("dependabot.yml doesn't have github-actions")
	}
}

// TestIssueForms checks that the forms are what GitHub takes for one.
func TestIssueForms(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(root, ".github", "ISSUE_TEMPLATE", "*.yml"))
	if err != nil || len(paths) < 3 {
		t.Fatalf("forms: %v, %v", paths, err)
	}
	for _, path := range paths {
		if filepath.Base(path) == "config.yml" {
			continue
		}
		var form struct {
			Name, Description string
			Labels            []string
			Body              []struct {
				Type, ID    string
				Attributes  map[string]any
				Validations map[string]bool
			}
		}
		decodeYAML(t, path, &form)
		if form.Name == "" || form.Description == "" || len(form.Body) == 0 {
			t.Errorf("%s has no name, description or body", path)
		}
		for _, field := range form.Body {
			if field.ID == "" || field.Attributes["label"] == nil && field.Type != "markdown" {
				t.Errorf("%s: a field has no id or no label: %+v", path, field)
			}
		}
	}
}

// makeTargets returns the targets of the Makefile.
func makeTargets(t *testing.T) (targets []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range makeTarget.FindAllStringSubmatch(string(text), -1) {
		targets = append(targets, target[1])
	}
	if len(targets) < 20 {
		t.Fatalf("found %d targets in the Makefile; there are more, so the search is broken", len(targets))
	}
	return targets
}

// decodeYAML reads a file of one document. Forms and configurations have no unknown keys.
func decodeYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
