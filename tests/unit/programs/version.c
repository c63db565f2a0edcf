/* SPDX-License-Identifier: Apache-2.0
 *
 * version.c - what of a libpython tells its version, for test_doctor.c
 *
 * Context: never run
 */
extern const unsigned long Py_Version;
const unsigned long Py_Version = PY_VERSION;

#ifdef FREE_THREADED
void _Py_MergeZeroLocalRefcount(void);
void _Py_MergeZeroLocalRefcount(void)
{
}
#endif
