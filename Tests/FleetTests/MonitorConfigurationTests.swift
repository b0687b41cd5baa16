import MachineConfiguration
import Testing

@testable import Fleet

@Suite struct MonitorConfigurationTests {
    @Test func `the monitor understands what is written for it`() throws {
        var specification = MachineSpecification()
        specification.imageDiskPath = "/images/\"odd\"\\name\n.erofs"
        specification.kernelPath = "/kernels/vmlinux"
        specification.processors = 4
        specification.memoryMebibytes = 512
        specification.disks = [.init(path: "/data.img", isReadOnly: false)]
        specification.network = .tap(name: "tap0", address: nil, gateway: nil)
        let text = MonitorConfiguration(
            specification: specification, initrdPaths: ["/a.cpio", "/b.cpio"], socketPath: "/run/swiftlet/0123"
        ).json
        let machine = try VirtualMachineConfiguration.parse(Array(text.utf8))
        #expect(machine.virtualCPUCount == 4 && machine.memoryMebibytes == 512)
        #expect(machine.bootSource.initrdPaths == ["/a.cpio", "/b.cpio"])
        #expect(machine.drives.map(\.pathOnHost) == [specification.imageDiskPath, "/data.img"])
        #expect(machine.drives.map(\.isReadOnly) == [true, false])
        #expect(machine.networkInterfaces.map(\.hostDeviceName) == ["tap0"])
        #expect(machine.vsock?.udsPath == "/run/swiftlet/0123")
        #expect(machine.lifelineDescriptor == 0 && machine.console.inputDescriptor == nil && machine.hasEntropyDevice)
    }

    @Test func `the agent's archive is one that cpio takes apart`() throws {
        let bytes = AgentArchive.bytes([1, 2, 3, 4, 5])
        #expect(bytes.starts(with: Array("070701".utf8)) && bytes.count % 4 == 0)
        #expect(String(decoding: bytes, as: UTF8.self).contains("TRAILER!!!"))
    }
}
