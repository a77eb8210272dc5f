/** How an upstream renders; nginx wants the balancing method before `keepalive` (ngx_http_upstream_keepalive_module). */
export const UPSTREAM_TEMPLATE = `upstream {{name}} {
    {{#if least_connections}}
    least_conn;
    {{/if}}
    {{#if ip_hash}}
    ip_hash;
    {{/if}}
    {{#each servers}}
    server {{address}} weight={{weight}} max_fails={{max_fails}} fail_timeout={{fail_timeout}}s{{#if backup}} backup{{/if}}{{#if down}} down{{/if}};
    {{/each}}
    {{#if keepalive}}
    keepalive {{keepalive}};
    {{#if keepalive_timeout}}
    keepalive_timeout {{keepalive_timeout}}s;
    {{/if}}
    {{/if}}
}
`
