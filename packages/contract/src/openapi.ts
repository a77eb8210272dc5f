import { z } from 'zod'
import { BASE_PATH, COMMON_ERRORS, type Endpoint, scopeOf } from './endpoints/endpoint.ts'
import { ENDPOINTS } from './endpoints/table.ts'
import * as access from './entities/access.ts'
import * as agent from './entities/agent.ts'
import { ApiKey, ApiKeyCreated } from './entities/api-key.ts'
import { AuditEntry } from './entities/audit.ts'
import { Principal } from './entities/common.ts'
import * as config from './entities/config.ts'
import * as deployment from './entities/deployment.ts'
import { Identity, IdentityProvider } from './entities/identity-provider.ts'
import { Invitation, Link, User } from './entities/people.ts'
import { Role, RoleBinding } from './entities/roles.ts'
import { Organization, Workspace } from './entities/tenancy.ts'
import { ErrorBody, PageLinks, PageMeta } from './envelope.ts'
import { ERRORS, type ErrorCode } from './errors.ts'
import { LIMITS } from './limits.ts'

type Json = Record<string, unknown>

/** What has a name of its own in the document when it stands in an answer. */
const ANSWERED = {
  Agent: agent.Agent,
  ApiKey,
  ApiKeyCreated,
  AuditEntry,
  BootstrapToken: agent.BootstrapToken,
  ConfigVersion: config.ConfigVersion,
  Deployment: deployment.Deployment,
  DeploymentSummary: deployment.DeploymentSummary,
  DeploymentTarget: deployment.DeploymentTarget,
  Error: ErrorBody,
  Identity,
  IdentityProvider,
  Invitation,
  Link,
  Me: access.Me,
  Organization,
  PageLinks,
  PageMeta,
  Principal,
  Role,
  RoleBinding,
  Session: access.Session,
  SessionInfo: access.SessionInfo,
  Upstream: config.Upstream,
  User,
  VirtualHost: config.VirtualHost,
  Workspace,
} satisfies Record<string, z.ZodType>

/**
 * The OpenAPI 3.1 document of the REST API, made from the endpoint table: `GET /api/v1/openapi.json`.
 * `version` is the product's.
 */
export function openApiDocument(version = 'unreleased'): Json {
  const schemas: Json = {}
  const paths: Record<string, Json> = {}
  for (const [id, row] of Object.entries(ENDPOINTS) as [string, Endpoint][]) {
    const path = BASE_PATH + row.path
    paths[path] = { ...paths[path], [row.method.toLowerCase()]: operation(id, row, schemas) }
  }
  schemas.Error = answerSchema(ErrorBody, {})
  return {
    openapi: '3.1.0',
    info: { title: 'NxMesh', version, description: 'The control plane for fleets of nginx.' },
    jsonSchemaDialect: 'https://json-schema.org/draft/2020-12/schema',
    servers: [{ url: '/', description: 'This master' }],
    paths,
    components: {
      schemas,
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API key or a access token' },
      },
    },
  }
}

function operation(id: string, row: Endpoint, schemas: Json): Json {
  const open = typeof row.access !== 'string'
  return {
    operationId: id,
    tags: [row.tag],
    summary: row.summary,
    description: descriptionOf(row),
    security: open ? [] : [{ bearer: [] }],
    parameters: [...fields(row.params, 'path'), ...fields(row.query, 'query'), ...headers(row)],
    ...(row.body
      ? {
          requestBody: {
            required: true,
            content: { 'application/json': { schema: requestSchema(row.body) } },
          },
        }
      : {}),
    responses: { [row.status]: success(row, schemas), ...failures(row) },
  }
}

const SCOPE_WORDS = {
  instance: 'instance',
  organization: 'organization',
  workspace: 'workspace',
  place: 'organization or workspace that the object belongs to',
} as const

function descriptionOf(row: Endpoint): string {
  const { access: needed } = row
  if (typeof needed !== 'string') return `Needs no credentials: ${needed.public}.`
  if (needed === 'authenticated') return 'For everyone who is logged in.'
  return `Needs the permission \`${needed}\` at the ${SCOPE_WORDS[scopeOf(row) ?? 'place']}.`
}

function fields(schema: z.ZodType | undefined, place: 'path' | 'query'): Json[] {
  if (!schema) return []
  const { properties = {}, required = [] } = requestSchema(schema) as {
    properties?: Record<string, Json>
    required?: string[]
  }
  return Object.entries(properties).map(([name, field]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: field,
  }))
}

function headers(row: Endpoint): Json[] {
  const found: Json[] = []
  if (row.etag && row.method !== 'GET' && row.method !== 'POST')
    found.push({
      name: 'If-Match',
      in: 'header',
      required: false,
      description:
        'The ETag of the version that the change is based on; another one answers PRECONDITION_FAILED.',
      schema: { type: 'string', maxLength: 32, examples: ['"v3"'] },
    })
  if (row.method === 'POST' && typeof row.access === 'string')
    found.push({
      name: 'Idempotency-Key',
      in: 'header',
      required: false,
      description: `The same request again under the same key gets the same answer, for ${LIMITS.idempotency_keep_h} hours.`,
      schema: { type: 'string', minLength: 1, maxLength: LIMITS.idempotency_key_chars },
    })
  return found
}

function success(row: Endpoint, schemas: Json): Json {
  const etag = {
    description: 'The version number',
    schema: { type: 'string', examples: ['"v3"'] },
  }
  const elsewhere = row.status === 302
  const answer: Json = {
    description: row.response ? 'Done' : elsewhere ? 'Go on elsewhere' : 'Done; no content',
    headers: {
      'X-Request-Id': REQUEST_ID,
      ...(row.etag ? { ETag: etag } : {}),
      ...(elsewhere ? { Location: LOCATION } : {}),
    },
  }
  if (row.response) answer.content = { 'application/json': { schema: answerSchema(row.response, schemas) } }
  return answer
}

const LOCATION = { description: 'Where to', schema: { type: 'string' } }
const REQUEST_ID = { description: 'Names the request in the log of the master', schema: { type: 'string' } }

/** One response for each status; its description lists the codes that it may carry. */
function failures(row: Endpoint): Json {
  const codes = [...new Set<ErrorCode>([...row.errors, ...COMMON_ERRORS, ...bodyErrors(row)])]
  const by_status = Map.groupBy(codes, code => ERRORS[code].status)
  const entries = [...by_status].map(([status, same]) => [
    status,
    {
      description: same.map(code => `\`${code}\`: ${ERRORS[code].title}`).join('. '),
      headers: { 'X-Request-Id': REQUEST_ID, ...(status === 429 || status === 503 ? RETRY_AFTER : {}) },
      content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
    },
  ])
  return Object.fromEntries(entries)
}

const RETRY_AFTER = { 'Retry-After': { description: 'Seconds to wait', schema: { type: 'integer' } } }

function bodyErrors(row: Endpoint): ErrorCode[] {
  const codes: ErrorCode[] =
    row.method === 'GET'
      ? []
      : ['REQUEST_TIMEOUT', 'PAYLOAD_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE', 'FORBIDDEN']
  if (row.method === 'POST' && typeof row.access === 'string') codes.push('IDEMPOTENCY_CONFLICT')
  return codes
}

/** As a caller writes it: defaults may be left out. */
export function requestSchema(schema: z.ZodType): Json {
  return withoutDialect(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', override: represent }))
}

/** As the master writes it: fields with defaults are always there. Named entities move to `schemas`. */
function answerSchema(schema: z.ZodType, schemas: Json): Json {
  const registry = z.registry<{ id: string }>()
  for (const [id, entity] of Object.entries(ANSWERED)) if (entity !== schema) registry.add(entity, { id })
  const { $defs = {}, ...rest } = z.toJSONSchema(schema, {
    io: 'output',
    unrepresentable: 'any',
    metadata: registry,
    override: represent,
  })
  for (const [id, one] of Object.entries($defs)) schemas[id] = toComponents(withoutDialect(one as Json))
  return toComponents(withoutDialect(rest))
}

const withoutDialect = ({ $schema: _dialect, id: _id, ...rest }: Json): Json => rest

function toComponents(schema: Json): Json {
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/$defs/', '"#/components/schemas/')) as Json
}

/** What zod cannot express: a value that is normalized looks as it did before, and a field that is not built is null. */
function represent({ zodSchema, jsonSchema }: { zodSchema: z.core.$ZodTypes; jsonSchema: Json }): void {
  const { def } = zodSchema._zod
  if (def.type === 'custom') Object.assign(jsonSchema, { type: 'null', description: 'Not built yet' })
  if (def.type === 'pipe' && def.out._zod.def.type === 'transform')
    Object.assign(jsonSchema, requestSchema(def.in as z.ZodType))
  // The pattern of a well-known format says nothing that its name does not.
  if (['date-time', 'uuid', 'email'].includes(String(jsonSchema.format))) delete jsonSchema.pattern
}
