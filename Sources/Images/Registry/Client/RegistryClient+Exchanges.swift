import NIOHTTP1

extension RegistryClient {
    /// One request to an endpoint, with what it needs to be authorized.
    struct Call: Sendable {
        let endpoint: Endpoint
        let scope: Authorizer.Scope
        var request: Transport.Request

        init(
            _ method: HTTPMethod, _ endpoint: Endpoint, _ repository: String?, _ path: String, resources: [String],
            query: [(String, String)] = []
        ) {
            self.init(
                method, endpoint, repository, at: endpoint.base.appending(path, query: query), resources: resources)
        }

        init(
            _ method: HTTPMethod, _ endpoint: Endpoint, _ repository: String?, at address: WebAddress,
            resources: [String]
        ) {
            self.endpoint = endpoint
            request = Transport.Request(method: method, address: address)
            scope = Authorizer.Scope(
                registry: endpoint.registry, origin: endpoint.base.origin, repository: repository,
                resources: resources)
        }
    }

    static func pull(_ repository: String) -> [String] { ["repository:\(repository):pull"] }
    static func push(_ repository: String) -> [String] { ["repository:\(repository):pull,push"] }

    /// Sends a request, and once more with new credentials when the endpoint does not take the first.
    ///
    /// Credentials go to the endpoint alone: not to where an answer points.
    /// - Returns: the answer, whatever its status, 401 excepted.
    func exchange(_ call: Call, what: String) async throws(RegistryError) -> Transport.Answer {
        var request = call.request
        let isOwn = request.address.origin == call.endpoint.base.origin
        let known = isOwn ? authorizer.header(for: call.scope) : nil
        if let known { request.headers.replaceOrAdd(name: "Authorization", value: known) }
        let answer = try await transport.send(request)
        guard answer.status == 401, isOwn, answer.address.origin == call.endpoint.base.origin else { return answer }
        let said = await transport.errorBody(of: answer)
        if said.codes.contains("TOOMANYREQUESTS") {
            throw RegistryError(.rateLimited, "\(answer.address.authority) has had too many requests (\(said.text))")
        }
        let header = try await authorizer.header(for: call.scope, challengedBy: answer, rejected: known, what: what)
        request.headers.replaceOrAdd(name: "Authorization", value: header)
        let second = try await transport.send(request)
        guard second.status == 401, second.address.origin == call.endpoint.base.origin else { return second }
        _ = await transport.errorBody(of: second)
        throw Authorizer.unauthorized(
            call.scope, what, hasCredential: try await authorizer.hasCredential(for: call.scope))
    }

    func failure(_ answer: Transport.Answer, _ endpoint: Endpoint, _ what: String) async -> RegistryError {
        await transport.failure(answer, what: what, login: endpoint.registry)
    }

    /// Tries again what failed for reasons that may pass, with growing pauses.
    func retrying<R>(_ body: () async throws(RegistryError) -> R) async throws(RegistryError) -> R {
        var attempt = 1
        while true {
            do {
                return try await body()
            } catch {
                attempt += 1
                try await pause(before: attempt, after: error)
            }
        }
    }

    /// Waits before attempt `number`, or throws `error` when there is to be none.
    func pause(before number: Int, after error: RegistryError) async throws(RegistryError) {
        guard error.isTransient, number <= settings.attempts else { throw error }
        if let wanted = error.retryAfter, wanted > settings.maximumRetryAfter { throw error }
        do { try await Task.sleep(for: settings.pause(before: number, retryAfter: error.retryAfter)) } catch {
            throw RegistryError(.cancelled, "cancelled")
        }
    }
}
