import Fleet
import Foundation
import Testing

@testable import Commands
@testable import ImageStore

@Suite struct ContainerOptionsTests {

    private func settings(_ image: ImageConfiguration, _ words: String...) throws -> ContainerSettings {
        let command = try #require(
            try SwiftletCommand.parseAsRoot(ProgramArguments.separated(["run"] + words + ["image"])) as? RunCommand)
        return try settings(command, image)
    }

    private func settings(_ command: RunCommand, _ configuration: ImageConfiguration) throws -> ContainerSettings {
        var specification = MachineSpecification()
        specification.container = try command.container.settings()
        var overrides = ImageOverrides()
        try command.container.override(&overrides)
        overrides.health = try command.health.overrides()
        let image = StoredImage(
            names: [], digest: "", diskPaths: [], parts: [], diskDigest: "", importedSeconds: 0,
            configuration: configuration)
        try specification.take(image, called: "image", with: overrides)
        return specification.container
    }

    private var image: ImageConfiguration {
        var image = ImageConfiguration()
        image.stopSignal = "SIGQUIT"
        image.exposedPorts = ["80/tcp", "53/udp"]
        image.labels = ["a": "1", "b": "2"]
        image.volumes = ["/data"]
        var check = ImageConfiguration.HealthCheck()
        check.test = ["CMD", "ok"]
        check.intervalSeconds = 7
        image.healthCheck = check
        return image
    }

    @Test func `what is said stands above what the image says`() throws {
        let plain = try settings(image)
        #expect(plain.stopSignal == 3 && plain.stopTimeoutSeconds == 10 && plain.imageVolumes == ["/data"])
        #expect(plain.healthCheck?.command == ["ok"] && plain.healthCheck?.intervalSeconds == 7)
        let other = try settings(
            image, "--stop-signal", "INT", "--stop-timeout", "1m", "-l", "b=3", "--label", "c", "--expose", "9",
            "--health-cmd", "true", "--health-timeout", "2s")
        #expect(other.stopSignal == 2 && other.stopTimeoutSeconds == 60)
        #expect(other.labels == ["a": "1", "b": "3", "c": ""] && other.exposedPorts == ["9/tcp", "53/udp", "80/tcp"])
        #expect(other.healthCheck?.command == ["/bin/sh", "-c", "true"])
        #expect(other.healthCheck?.intervalSeconds == 7 && other.healthCheck?.timeoutSeconds == 2)
        #expect(try settings(image, "--no-healthcheck").healthCheck == nil)
        #expect(try settings(image, "--health-cmd", #"["/c", "d e"]"#).healthCheck?.command == ["/c", "d e"])
    }

    @Test(
        arguments: [
            ["--stop-signal", "X"], ["--stop-timeout", "x"], ["--expose", "99999"], ["--expose", "1/x"], ["-l", "=x"],
            ["--health-cmd", "[1]"], ["--health-cmd", ""], ["--health-cmd", "a", "--no-healthcheck"],
            ["--no-healthcheck", "--health-retries", "2"], ["--health-on-failure", "explode"], ["--shm-size", "big"],
            ["--restart", "x"], ["-v", "x"], ["--tmpfs", "x"], ["--add-host", "x"],
        ])
    func `what cannot be is refused`(words: [String]) throws {
        let command = try #require(
            try SwiftletCommand.parseAsRoot(ProgramArguments.separated(["run"] + words + ["image"])) as? RunCommand)
        #expect(throws: (any Error).self) { try settings(command, image) }
    }

    @Test func `an image's signal that is none is told`() throws {
        var image = ImageConfiguration()
        image.stopSignal = "NOTHING"
        #expect(throws: FleetError.self) { try settings(image) }
    }

    @Test func `files are handed in with mode and owner, and never by value`() throws {
        let path = NSTemporaryDirectory() + "handed-\(UInt64.random(in: 0...UInt64.max))"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data("secret".utf8).write(to: URL(fileURLWithPath: path))
        let files = try HandedIn.read(
            secrets: ["key=\(path)", "HOME"], files: ["\(path):/a/b", "\(path):/c:0400,7", "\(path):/d:600,7:8"])
        #expect(files.map(\.path) == ["/run/secrets/key", "/run/secrets/HOME", "/a/b", "/c", "/d"])
        #expect(files.map(\.permissions) == [0o444, 0o444, 0o644, 0o400, 0o600])
        #expect(files.map(\.userID) == [0, 0, 0, 7, 7] && files.map(\.groupID) == [0, 0, 0, 0, 8])
        #expect(files[0].contents == Array("secret".utf8))
        for (secrets, files) in [
            (["key=value-that-is-no-path"], []), (["SURELY_NOT_SET"], []), (["=x"], []), (["..=\(path)"], []),
            ([], ["\(path)"]), ([], ["\(path):x"]), ([], ["\(path):/x:9"]), ([], ["\(path):/x:1,a"]),
            ([], ["\(path):/x:1:2"]), (["a=\(path)", "a=\(path)"], []),
        ] as [([String], [String])] {
            #expect(throws: (any Error).self, "\(secrets) \(files)") {
                _ = try HandedIn.read(secrets: secrets, files: files)
            }
        }
    }

    @Test(arguments: ["label", "size=1", "", "label=", "name=a=b"])
    func `filters are read`(text: String) {
        #expect((try? MachineFilter(parsing: text)) == nil || text == "label=")
    }
}
