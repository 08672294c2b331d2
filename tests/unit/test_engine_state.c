/* SPDX-License-Identifier: Apache-2.0 */
/* Containers by what engines leave in files, in a root directory made up for it; and by the names of cgroups. */
#include "recorder/engine_state.h"

#include "tests/unit/harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbb0123456789abcdef0123456789abcdef0123456789abcdef01234567"
#define C "bbbbcccc0123456789abcdef0123456789abcdef0123456789abcdef01234567"
#define DOCKER "/var/lib/docker/containers/"
#define CONTAINERD "/run/containerd/io.containerd.runtime.v2.task/"

static char root[64];

static void put(const char *path, const char *text)
{
	char command[512], file[256];
	FILE *f;

	snprintf(file, sizeof(file), "%s%s", root, path);
	snprintf(command, sizeof(command), "mkdir -p $(dirname '%s')", file);
	assert_int_equal(system(command), 0);
	f = fopen(file, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int make(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "/tmp/engine-state.XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int drop(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -r '%s'", root);
	return system(command);
}

static const char *engine(const char *name, pid_t pid)
{
	struct found_container found;
	struct err err = ERR_INIT;

	assert_int_equal(engine_state_find(&found, root, name, &err), 0);
	assert_int_equal(found.pid, pid);
	return found.engine;
}

static int refused(const char *name)
{
	struct found_container found;
	struct err err = ERR_INIT;

	assert_true(engine_state_find(&found, root, name, &err) < 0);
	return err.code;
}

static void finds_dockers(void **state)
{
	struct found_container found;
	struct err err = ERR_INIT;

	(void)state;
	put(DOCKER A "/config.v2.json", "{\"State\":{\"Running\":true,\"Paused\":false,\"Pid\":4242},\"ID\":\"" A "\",\"Image\":\"sha256:0123\","
					"\"Name\":\"/web\",\"Config\":{\"Hostname\":\"h\",\"Image\":\"nginx:1.25\"}}");
	put(DOCKER B "/config.v2.json", "{\"State\":{\"Running\":false,\"Pid\":0},\"Name\":\"/gone\"}");
	put(DOCKER C "/config.v2.json", "{\"State\":{\"Running\":true,\"Pid\":");	/* being written */
	assert_int_equal(engine_state_find(&found, root, "web", &err), 0);
	assert_string_equal(found.engine, "docker");
	assert_int_equal(found.pid, 4242);
	assert_string_equal(found.image, "docker-daemon:sha256:0123");
	assert_string_equal(found.called, "docker-daemon:nginx:1.25");
	assert_string_equal(engine(A, 4242), "docker");
	assert_string_equal(engine("aaaaaaaaaaaa", 4242), "docker");
	assert_int_equal(refused("gone"), ENOENT);
	assert_int_equal(refused("aaa"), ENOENT);	/* too few digits to mean an id */
	assert_int_equal(refused("we"), ENOENT);
	assert_int_equal(refused(""), ENOENT);
	assert_int_equal(refused("../web"), ENOENT);
}

static void put_pod(const char *ns, const char *id, const char *pod, const char *container, const char *type, const char *pid)
{
	char path[256], text[512];

	snprintf(path, sizeof(path), CONTAINERD "%s/%s/config.json", ns, id);
	snprintf(text, sizeof(text), "{\"ociVersion\":\"1.1.0\",\"annotations\":{\"io.kubernetes.cri.container-type\":\"%s\",\"io.kubernetes.cri.sandbox-name\":\"%s\","
		 "\"io.kubernetes.cri.container-name\":\"%s\",\"io.kubernetes.cri.image-name\":\"registry/app:1\"}}", type, pod, container);
	put(path, text);
	snprintf(path, sizeof(path), CONTAINERD "%s/%s/init.pid", ns, id);
	put(path, pid);
}

static void finds_those_of_kubernetes(void **state)
{
	(void)state;
	put_pod("k8s.io", A, "web-0", "app", "container", "11");
	put_pod("k8s.io", B, "web-1", "app", "container", "22\n");
	put_pod("k8s.io", C, "web-1", "web-1", "sandbox", "33");
	assert_string_equal(engine("web-0/app", 11), "containerd");
	assert_string_equal(engine("web-1/app", 22), "containerd");
	assert_int_equal(refused("app"), ENOTUNIQ);
	assert_int_equal(refused("web-1"), ENOENT);	/* the pod's own is no container of anybody's */
	assert_int_equal(refused("bbbb"), ENOTUNIQ);
	assert_string_equal(engine("bbbbbbbb", 22), "containerd");
	put_pod("k8s.io", B, "web-1", "app", "container", "nonsense");
	assert_string_equal(engine("app", 11), "containerd");
	put("/run/containerd/io.containerd.runtime.v2.task/default/" C "/config.json", "{\"annotations\":{\"nerdctl/name\":\"own\"}}");
	put("/run/containerd/io.containerd.runtime.v2.task/default/" C "/init.pid", "44");
	assert_string_equal(engine("own", 44), "containerd");
	put(CONTAINERD "moby/" A "/config.json", "{}");
	put(CONTAINERD "moby/" A "/init.pid", "11");
	assert_string_equal(engine("aaaaaaaa", 11), "containerd");	/* docker's own bundles count once: as docker's */
}

static void knows_cgroups(void **state)
{
	static const struct { const char *path, *engine, *id; } all[] = {
		{ "/docker/" A, "docker", A },
		{ "/system.slice/docker-" A ".scope", "docker", A },
		{ "0::/system.slice/docker-" A ".scope/init", "docker", A },
		{ "/machine.slice/libpod-" A ".scope", "podman", A },
		{ "/machine.slice/libpod-" A ".scope/container", "podman", A },
		{ "/libpod_parent/libpod-" A, "podman", A },
		{ "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" B ".scope/container", "podman", B },
		{ "/machine.slice/libpod-conmon-" A ".scope", NULL, NULL },
		{ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod12_3.slice/cri-containerd-" A ".scope", "containerd", A },
		{ "/kubepods/besteffort/pod0f-1/" A, "containerd", A },
		{ "/system.slice/containerd.service/kubepods-besteffort-pod0f.slice:cri-containerd:" B, "containerd", B },
		{ "/kubepods.slice/kubepods-pod1.slice/crio-" A ".scope", "cri-o", A },
		{ "/kubepods.slice/kubepods-pod1.slice/crio-conmon-" A ".scope", NULL, NULL },
		{ "/docker/" A "/docker/" B, "docker", B },	/* one in another */
		{ "/docker/" A "/system.slice/nginx.service", "docker", A },
		{ "/", NULL, NULL }, { "", NULL, NULL }, { "/user.slice/" A, NULL, NULL },
		{ "/docker/0123", NULL, NULL }, { "/docker/x" A, NULL, NULL },
		{ "/docker/AAAAAAAAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL, NULL },
		{ "/system.slice/other-" A ".scope", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		char id[CONTAINER_ID + 1] = "untouched";
		const char *engine = engine_of_cgroup(all[i].path, id);

		if (!all[i].engine) {
			assert_null(engine);
			assert_string_equal(id, "untouched");
			continue;
		}
		assert_non_null(engine);
		assert_string_equal(engine, all[i].engine);
		assert_string_equal(id, all[i].id);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(finds_dockers, make, drop),
		cmocka_unit_test_setup_teardown(finds_those_of_kubernetes, make, drop),
		cmocka_unit_test(knows_cgroups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
