/* SPDX-License-Identifier: Apache-2.0
 *
 * python_embedded.c - a C program that runs a script in a libpython of its own
 *
 * Usage: python_embedded SCRIPT [ARGUMENT...]
 * As servers like uwsgi do: the interpreter is a library, the program's own functions stand around it and within it,
 * by the module `blocking` that it brings along.
 *
 * Context: watched program of test_python.py
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdio.h>
#include <wchar.h>

#include "python_blocking.h"
#include "truth.h"

VICTIM_FRAME static int run_script(const char *path)
{
        FILE *file = fopen(path, "rb");
        VICTIM_CHECK(file != NULL);
        int status = PyRun_SimpleFile(file, path);
        fclose(file);
        return status;
}

int main(int argc, char **argv)
{
        PyConfig config;
        VICTIM_CHECK(argc > 1);
        VICTIM_CHECK(PyImport_AppendInittab("blocking", PyInit_blocking) == 0);
        PyConfig_InitPythonConfig(&config);
        config.parse_argv = 0;
        VICTIM_CHECK(!PyStatus_Exception(PyConfig_SetBytesArgv(&config, argc - 1, argv + 1)));
        VICTIM_CHECK(!PyStatus_Exception(Py_InitializeFromConfig(&config)));
        PyConfig_Clear(&config);
        int status = run_script(argv[1]);
        return Py_FinalizeEx() != 0 || status != 0;
}
