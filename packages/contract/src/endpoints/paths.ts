/** Paths outside the endpoint table: they answer no envelope. */
export const CHANNEL_PATH = '/api/v1/agents/channel'
export const EVENTS_PATH = '/api/v1/events'
export const OPENAPI_PATH = '/api/v1/openapi.json'
export const HEALTH_PATH = '/healthz'
export const READY_PATH = '/readyz'
