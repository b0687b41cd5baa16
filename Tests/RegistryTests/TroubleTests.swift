import Archives
import CodedErrors
import Testing

@testable import Registry

/// Registries that are slow, busy, out of order or not there.
@Suite struct TroubleTests: ManifestAsking {
    private let path = "/v2/a/b/manifests/t"

    @Test("the registry's words are told, as far as they can be printed")
    func words() async throws {
        let registry = try registry { _, connection in
            connection.answer(
                404, json: #"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no\u001b[31m such\u202e thing"}]}"#)
        }
        let error = try await code(at: registry)
        #expect(error.code == .notFound)
        #expect(error.message.contains("(manifest_unknown: no [31m such thing)"), "\(error)")
    }

    @Test("too many requests: the time that the registry wants is waited for, a long one is told instead")
    func rateLimit() async throws {
        let counter = Counter()
        let patient = try registry { _, connection in
            if counter.next() < 3 {
                connection.answer(429, json: #"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#, ["Retry-After": "0"])
            } else {
                connection.answer(200, ["Content-Type": manifestType], smallManifest)
            }
        }
        _ = try await client().manifest(try patient.reference())
        #expect(patient.server.requests("GET", path).count == 3)

        let impatient = try registry { _, connection in
            connection.answer(
                429, json: #"{"errors":[{"code":"TOOMANYREQUESTS","message":"pull rate limit"}]}"#,
                ["Retry-After": "3600"])
        }
        let error = try await code(at: impatient)
        #expect(error.code == .rateLimited)
        #expect(error.message.contains("pull rate limit") && error.message.contains("3600 s"), "\(error)")
        #expect(error.message.contains("swiftlet login"))
        #expect(impatient.server.requests("GET", path).count == 1)
    }

    @Test("a fault of the registry's own is tried again, and told when it stays")
    func serverFault() async throws {
        let registry = try registry { _, connection in connection.answer(503) }
        #expect(try await code(at: registry).code == .serverFault)
        #expect(registry.server.requests("GET", path).count == 5)
    }

    @Test("a registry that says nothing, or only half, ends in an error in time")
    func silence() async throws {
        let settings = quickSettings {
            $0.answerTimeout = .milliseconds(200)
            $0.attempts = 1
        }
        let silent = try MisbehavingRegistry { request, connection in
            guard request.path.hasPrefix("/v2/a/b/manifests/") else { return nil }
            connection.waitForClose()
            return .close
        }
        #expect(try await code(settings, at: silent).code == .timedOut)
        let half = try MisbehavingRegistry { request, connection in
            guard request.path.hasPrefix("/v2/a/b/manifests/") else { return nil }
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
            connection.waitForClose()
            return .close
        }
        #expect(try await code(settings, at: half).code == .timedOut)
    }

    @Test("nobody listening, no such host, and something that is not HTTP are told apart")
    func unreachable() async throws {
        let silent = try SilentPort()
        let reference = try ImageReference("\(silent.host)/a/b:t")
        defer { withExtendedLifetime(silent) {} }
        let settings = quickSettings { $0.attempts = 1 }
        do {
            _ = try await client(settings).manifest(reference)
            Issue.record("there was no error")
        } catch {
            #expect(error.code == .unreachable)
            #expect(error.message.contains("nobody listens"), "\(error)")
        }
        let other = try LoopbackServer { _, connection in
            connection.send("220 mail ready\r\n")
            return .close
        }
        defer { other.end() }
        do {
            _ = try await client(settings).manifest(try ImageReference("\(other.host)/a"))
            Issue.record("there was no error")
        } catch {
            #expect(error.code == .invalidAnswer, "\(error)")
        }
    }

    @Test("a page of tags leads to the next, and not in circles")
    func tags() async throws {
        let registry = try MisbehavingRegistry { request, connection in
            guard request.path == "/v2/a/b/tags/list" else { return nil }
            if request.target.contains("last=") {
                connection.answer(
                    200, json: #"{"tags":["c"]}"#, ["Link": #"</v2/a/b/tags/list?last=b>; rel="next""#])
            } else {
                connection.answer(
                    200, json: #"{"tags":["a","b","not a tag"]}"#,
                    ["Link": #"</v2/a/b/tags/list?last=b>; rel="next""#])
            }
            return .keep
        }
        #expect(try await client().tags(of: try registry.reference()) == ["a", "b", "c"])
    }

    @Test("a mirror is asked first, and the registry itself when the mirror has nothing or is gone")
    func mirrors() async throws {
        let origin = try registry { _, connection in
            connection.answer(200, ["Content-Type": manifestType], smallManifest)
        }
        let empty = try MisbehavingRegistry { _, _ in nil }
        let host = origin.server.host
        let emptyHost = empty.server.host
        let settings = quickSettings {
            $0.attempts = 1
            $0.mirrors = [host: ["127.0.0.1:1", emptyHost]]
        }
        _ = try await client(settings).manifest(try origin.reference())
        #expect(empty.server.requests("GET", path).count == 1)
        #expect(origin.server.requests("GET", path).count == 1)
    }
}
