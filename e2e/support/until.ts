/** The same as in the master's own tests. */
export { until } from '@nxmesh/master/testing-until'
