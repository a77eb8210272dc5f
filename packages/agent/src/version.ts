import agent from '../package.json' with { type: 'json' }

export const AGENT_VERSION = agent.version

/** The renderer ships with the agent; it changes with `@nxmesh/nginx`. */
export const RENDERER_VERSION = agent.dependencies['@nxmesh/nginx']
